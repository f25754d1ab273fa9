"""Analyse angiograms by the stages: the one entry for bundles, command line and servers."""

from monai_lora_sam.coronary.pipeline.analysis import CoronaryPipeline, CoronaryResult
from monai_lora_sam.coronary.pipeline.diameter_finder import diameter_finder
from monai_lora_sam.coronary.pipeline.evaluation import FindVesselsd, ReadAngiogramd, WriteResults
from monai_lora_sam.coronary.pipeline.files import AngiogramRun, run_files, write_result
from monai_lora_sam.coronary.pipeline.inference import LastStage, RefineVesselMapd, StagesInferer
from monai_lora_sam.coronary.pipeline.inputs import FoundImages, find_images
from monai_lora_sam.coronary.pipeline.refine_map import keep_near, refine_map
from monai_lora_sam.coronary.pipeline.run_options import CaseOutcome, RunOptions
from monai_lora_sam.coronary.pipeline.stage_networks import (
    THRESHOLD,
    StageNetworks,
    StageOutputs,
    check_task,
    shipped_stages,
)
from monai_lora_sam.coronary.pipeline.straightened_vessel import StraightenedVessel, straighten_vessel
from monai_lora_sam.coronary.pipeline.study import Case, Catheter, check_stated, read_case

__all__ = [
    "AngiogramRun",
    "Case",
    "CaseOutcome",
    "Catheter",
    "CoronaryPipeline",
    "CoronaryResult",
    "FindVesselsd",
    "FoundImages",
    "LastStage",
    "ReadAngiogramd",
    "RefineVesselMapd",
    "RunOptions",
    "StageNetworks",
    "StageOutputs",
    "StagesInferer",
    "StraightenedVessel",
    "THRESHOLD",
    "WriteResults",
    "check_stated",
    "check_task",
    "find_images",
    "keep_near",
    "diameter_finder",
    "read_case",
    "refine_map",
    "run_files",
    "shipped_stages",
    "straighten_vessel",
    "write_result",
]
