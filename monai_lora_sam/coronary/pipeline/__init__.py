"""Analyse angiograms by the stages: the one entry for bundles, command line and servers."""

from monai_lora_sam.coronary.pipeline.analysis import CoronaryPipeline, CoronaryResult
from monai_lora_sam.coronary.pipeline.evaluation import ReadAngiogramd, WriteResults
from monai_lora_sam.coronary.pipeline.files import (
    AngiogramRun,
    CaseOutcome,
    RunOptions,
    run_files,
    write_result,
)
from monai_lora_sam.coronary.pipeline.gauge import gauge_finder
from monai_lora_sam.coronary.pipeline.inference import LastStage, RefineVesselMapd, StagesInferer
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
    "AngiogramRun",
    "Case",
    "CaseOutcome",
    "Catheter",
    "CoronaryPipeline",
    "CoronaryResult",
    "FoundImages",
    "LastStage",
    "ReadAngiogramd",
    "RefineVesselMapd",
    "RunOptions",
    "StageNetworks",
    "StageOutputs",
    "StagesInferer",
    "Strip",
    "THRESHOLD",
    "WriteResults",
    "find_images",
    "gauge_finder",
    "read_case",
    "redraw",
    "run_files",
    "shipped_stages",
    "straighten",
    "write_result",
]
