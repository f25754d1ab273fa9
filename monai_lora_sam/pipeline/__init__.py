"""From an angiogram to everything the stages say of it: the one entry for bundles, command line and servers."""

from __future__ import annotations

from .analysis import CoronaryPipeline, CoronaryResult
from .files import CaseOutcome, find_images, run_files, write_result
from .stage_networks import THRESHOLD, StageNetworks, StageOutputs, shipped_stages

__all__ = [
    "THRESHOLD",
    "CaseOutcome",
    "CoronaryPipeline",
    "CoronaryResult",
    "StageNetworks",
    "StageOutputs",
    "find_images",
    "run_files",
    "shipped_stages",
    "write_result",
]
