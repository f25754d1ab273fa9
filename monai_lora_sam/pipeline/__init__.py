"""From an angiogram to everything the stages say of it: the one entry for bundles, command line and servers."""

from __future__ import annotations

from .analysis import CoronaryPipeline, CoronaryResult
from .files import CaseOutcome, RunOptions, run_files, write_result
from .gauge import gauge_finder
from .inputs import FoundImages, find_images
from .lumen import redraw
from .stage_networks import THRESHOLD, StageNetworks, StageOutputs, shipped_stages
from .strips import Strip, straighten
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
    "Strip",
    "find_images",
    "gauge_finder",
    "read_case",
    "redraw",
    "run_files",
    "shipped_stages",
    "straighten",
    "write_result",
]
