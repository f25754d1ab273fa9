"""Print how many parameters and bytes an adapter has: ``python -m monai_lora_sam.adapters``."""

from monai_lora_sam.adapters.budget import budget_table, format_budget

if __name__ == "__main__":
    print(format_budget(budget_table()))
