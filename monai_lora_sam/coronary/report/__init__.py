"""Pages and pictures of coronary results."""

from monai_lora_sam.coronary.report.demo import Comparison, write_demo_report
from monai_lora_sam.coronary.report.index import write_index
from monai_lora_sam.coronary.report.result import SCHEMA, result_sections, write_report

__all__ = [
    "Comparison",
    "SCHEMA",
    "result_sections",
    "write_demo_report",
    "write_index",
    "write_report",
]
