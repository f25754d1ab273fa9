"""Heads, and the networks composed of encoder, adapters and head."""

from .adapted_segmenter import AdaptedSegmenter, build_segmenter
from .decode_lesions import LESION_COLUMNS, decode_lesions, own_scale, rows_to_lesions
from .feature_identity import feature_identity
from .lesion_detector import LesionDetector, build_detector
from .lesion_head import LesionHead
from .lumen_gauge import LumenGauge
from .lumen_refiner import LumenRefiner
from .segmentation_head import SegmentationHead
from .trainable_state import TrainableState
from .view_angle_encoder import FiLM, ViewAngleEncoder

__all__ = [
    "LESION_COLUMNS",
    "AdaptedSegmenter",
    "FiLM",
    "LesionDetector",
    "LesionHead",
    "LumenGauge",
    "LumenRefiner",
    "SegmentationHead",
    "TrainableState",
    "ViewAngleEncoder",
    "build_detector",
    "build_segmenter",
    "feature_identity",
    "decode_lesions",
    "own_scale",
    "rows_to_lesions",
]
