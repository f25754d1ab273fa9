"""Pages and pictures of coronary results."""

from monai_lora_sam.coronary.report.comparison_sheet import LesionComparison, comparison_sheet
from monai_lora_sam.coronary.report.demo import Comparison, write_demo_report
from monai_lora_sam.coronary.report.index import write_index
from monai_lora_sam.coronary.report.result import SCHEMA, result_sections, write_report
from monai_lora_sam.coronary.report.tables import write_tables

__all__ = [
    "Comparison",
    "LesionComparison",
    "SCHEMA",
    "comparison_sheet",
    "result_sections",
    "write_demo_report",
    "write_index",
    "write_report",
    "write_tables",
]
