"""Heads, and the networks composed of encoder, adapters and head."""

from .adapted_segmenter import AdaptedSegmenter, build_segmenter
from .segmentation_head import SegmentationHead
from .trainable_state import TrainableState
from .view_angle_encoder import FiLM, ViewAngleEncoder

__all__ = [
    "AdaptedSegmenter",
    "FiLM",
    "SegmentationHead",
    "TrainableState",
    "ViewAngleEncoder",
    "build_segmenter",
]
