"""From an angiogram to everything the stages say of it: the one entry for bundles, command line and servers."""

from __future__ import annotations

from .analysis import CoronaryPipeline, CoronaryResult
from .files import CaseOutcome, RunOptions, run_files, write_result
from .inputs import FoundImages, find_images
from .lumen import redraw
from .stage_networks import THRESHOLD, StageNetworks, StageOutputs, shipped_stages
from .study import Case, Catheter, read_case

__all__ = [
    "THRESHOLD",
    "Case",
    "CaseOutcome",
    "Catheter",
    "CoronaryPipeline",
    "CoronaryResult",
    "FoundImages",
    "RunOptions",
    "StageNetworks",
    "StageOutputs",
    "find_images",
    "read_case",
    "redraw",
    "run_files",
    "shipped_stages",
    "write_result",
]
