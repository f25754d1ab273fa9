"""Self-contained HTML, JSON and pictures of a result."""

from __future__ import annotations

from monai_lora_sam.report.charts import Series, line_chart
from monai_lora_sam.report.demo import Comparison, write_demo_report
from monai_lora_sam.report.index import write_index
from monai_lora_sam.report.page import Chart, Facts, Gallery, Notes, Section, Table, Text, Viewer, write_page
from monai_lora_sam.report.result import SCHEMA, result_sections, write_report

__all__ = [
    "SCHEMA",
    "Chart",
    "Comparison",
    "Facts",
    "Gallery",
    "Notes",
    "Section",
    "Series",
    "Table",
    "Text",
    "Viewer",
    "line_chart",
    "result_sections",
    "write_demo_report",
    "write_index",
    "write_page",
    "write_report",
]
