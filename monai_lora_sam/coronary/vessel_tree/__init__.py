"""From a vessel mask to its tree: skeleton, nodes, branches with smooth centrelines, and their names."""

from monai_lora_sam.coronary.vessel_tree.build import build_vessel_tree, without_small_holes
from monai_lora_sam.coronary.vessel_tree.crossing import CROSSING_DEGREES, runs_straight_on
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
    "CROSSING_DEGREES",
    "Branch",
    "LabelledPiece",
    "LabelledTree",
    "LabellingWeights",
    "Node",
    "PrunedBranch",
    "VesselTree",
    "build_vessel_tree",
    "label_pixels",
    "label_tree",
    "paint_segments",
    "runs_straight_on",
    "without_small_holes",
]
