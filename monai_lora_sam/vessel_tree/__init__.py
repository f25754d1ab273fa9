"""From a vessel mask to its tree: skeleton, nodes, branches with smooth centrelines."""

from __future__ import annotations

from monai_lora_sam.vessel_tree.build import build_vessel_tree
from monai_lora_sam.vessel_tree.tree import Branch, Node, PrunedBranch, VesselTree

__all__ = ["Branch", "Node", "PrunedBranch", "VesselTree", "build_vessel_tree"]
