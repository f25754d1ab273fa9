"""From a vessel mask to its tree: skeleton, nodes, branches with smooth centrelines, and their names."""

from monai_lora_sam.coronary.vessel_tree.build import build_vessel_tree, without_small_holes
from monai_lora_sam.coronary.vessel_tree.crossing import crossing_pairs, turn_at
from monai_lora_sam.coronary.vessel_tree.labelling import (
    LabelledPiece,
    LabelledTree,
    LabellingWeights,
    label_tree,
)
from monai_lora_sam.coronary.vessel_tree.painting import paint_segments
from monai_lora_sam.coronary.vessel_tree.pixels import label_pixels
from monai_lora_sam.coronary.vessel_tree.tree import Branch, Node, PrunedBranch, VesselTree

__all__ = [
    "Branch",
    "LabelledPiece",
    "LabelledTree",
    "LabellingWeights",
    "Node",
    "PrunedBranch",
    "VesselTree",
    "build_vessel_tree",
    "crossing_pairs",
    "label_pixels",
    "label_tree",
    "paint_segments",
    "turn_at",
    "without_small_holes",
]
