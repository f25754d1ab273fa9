"""Named LoRA adapters on one frozen encoder: stack, strategies, presets, store, exchange with PEFT."""

from monai_lora_sam.adapters.budget import BudgetRow, budget_table, format_budget
from monai_lora_sam.adapters.card import STRATEGIES
from monai_lora_sam.adapters.exchange import export_peft, import_peft
from monai_lora_sam.adapters.lineage import Ancestor, Branch, family_tree
from monai_lora_sam.adapters.lora import blocks_below
from monai_lora_sam.adapters.mixed_batch import mixed_batch
from monai_lora_sam.adapters.presets import lora_config, target_modules
from monai_lora_sam.adapters.renew import renew_card
from monai_lora_sam.adapters.saved import SavedAdapter, load_extra, open_adapter, read_card, verify_folder
from monai_lora_sam.adapters.stack import AdapterStack
from monai_lora_sam.adapters.store import list_adapters, tensors_fingerprint, write_folder
from monai_lora_sam.adapters.strategies import apply_strategy

__all__ = [
    "AdapterStack",
    "Ancestor",
    "Branch",
    "BudgetRow",
    "STRATEGIES",
    "SavedAdapter",
    "apply_strategy",
    "blocks_below",
    "budget_table",
    "export_peft",
    "family_tree",
    "format_budget",
    "import_peft",
    "list_adapters",
    "load_extra",
    "lora_config",
    "mixed_batch",
    "open_adapter",
    "read_card",
    "renew_card",
    "target_modules",
    "tensors_fingerprint",
    "verify_folder",
    "write_folder",
]
