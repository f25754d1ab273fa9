"""From an angiogram to everything the stages say of it: the one entry for bundles, command line and servers."""

from monai_lora_sam.coronary.pipeline.analysis import CoronaryPipeline, CoronaryResult
from monai_lora_sam.coronary.pipeline.files import CaseOutcome, RunOptions, run_files, write_result
from monai_lora_sam.coronary.pipeline.gauge import gauge_finder
from monai_lora_sam.coronary.pipeline.inputs import FoundImages, find_images
from monai_lora_sam.coronary.pipeline.lumen import redraw
from monai_lora_sam.coronary.pipeline.stage_networks import (
    THRESHOLD,
    StageNetworks,
    StageOutputs,
    shipped_stages,
)
from monai_lora_sam.coronary.pipeline.strips import Strip, straighten
from monai_lora_sam.coronary.pipeline.study import Case, Catheter, read_case

__all__ = [
    "Case",
    "CaseOutcome",
    "Catheter",
    "CoronaryPipeline",
    "CoronaryResult",
    "FoundImages",
    "RunOptions",
    "StageNetworks",
    "StageOutputs",
    "Strip",
    "THRESHOLD",
    "find_images",
    "gauge_finder",
    "read_case",
    "redraw",
    "run_files",
    "shipped_stages",
    "straighten",
    "write_result",
]
