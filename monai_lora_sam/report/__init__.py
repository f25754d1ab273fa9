"""Self-contained HTML pages, charts and pictures."""

from monai_lora_sam.report.bland_altman import bland_altman
from monai_lora_sam.report.box_plot import box_plot
from monai_lora_sam.report.charts import Mark, Series, Span, line_chart
from monai_lora_sam.report.curve_plot import Place, curve_plot
from monai_lora_sam.report.drawing import centred, outline, polyline, svg
from monai_lora_sam.report.figures import figure_table
from monai_lora_sam.report.interval_plot import Interval, interval_plot
from monai_lora_sam.report.labels import label_box, place_box_labels, place_labels
from monai_lora_sam.report.markdown import markdown_table
from monai_lora_sam.report.mask_viewer import mask_viewer
from monai_lora_sam.report.page import (
    Chart,
    Code,
    Columns,
    Facts,
    Gallery,
    Notes,
    Section,
    Table,
    Text,
    Viewer,
    heading,
    write_page,
)
from monai_lora_sam.report.pictures import data_uri, grey, heat, overlay, png

__all__ = [
    "Chart",
    "Code",
    "Columns",
    "Facts",
    "Gallery",
    "Interval",
    "Mark",
    "Notes",
    "Place",
    "Section",
    "Series",
    "Span",
    "Table",
    "Text",
    "Viewer",
    "bland_altman",
    "box_plot",
    "centred",
    "curve_plot",
    "data_uri",
    "figure_table",
    "grey",
    "heat",
    "heading",
    "interval_plot",
    "label_box",
    "line_chart",
    "markdown_table",
    "mask_viewer",
    "outline",
    "overlay",
    "place_box_labels",
    "place_labels",
    "png",
    "polyline",
    "svg",
    "write_page",
]
