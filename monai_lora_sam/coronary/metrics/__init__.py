"""Metrics of coronary segments and lesions, and ARCADE's scorers."""

from monai_lora_sam.coronary.metrics.arcade import ArcadeScore, score_arcade_segments, score_arcade_stenoses
from monai_lora_sam.coronary.metrics.arcade_instances import (
    ArcadeInstance,
    instances_from_coco,
    instances_to_coco,
    label_map_to_instances,
    lesions_to_instances,
    make_instance,
)
from monai_lora_sam.coronary.metrics.branch_accuracy import branch_accuracy
from monai_lora_sam.coronary.metrics.diameter_error import DiameterErrorMetric
from monai_lora_sam.coronary.metrics.lesion_matching import average_precision, match_by_distance, match_by_iou
from monai_lora_sam.coronary.metrics.lesion_metrics import (
    DetectionScore,
    LesionMetric,
    LesionScores,
    score_lesions,
)
from monai_lora_sam.coronary.metrics.segment_counts import (
    f1_per_class,
    macro_f1,
    rare_classes,
    segment_counts,
    segment_sets,
    set_exact_match,
    set_f1,
    vessel_accuracy,
)
from monai_lora_sam.coronary.metrics.segment_metrics import (
    SegmentAccuracyMetric,
    SegmentMacroF1Metric,
    SegmentSetMetric,
)

__all__ = [
    "ArcadeInstance",
    "ArcadeScore",
    "DetectionScore",
    "DiameterErrorMetric",
    "LesionMetric",
    "LesionScores",
    "SegmentAccuracyMetric",
    "SegmentMacroF1Metric",
    "SegmentSetMetric",
    "average_precision",
    "branch_accuracy",
    "f1_per_class",
    "instances_from_coco",
    "instances_to_coco",
    "label_map_to_instances",
    "lesions_to_instances",
    "macro_f1",
    "make_instance",
    "match_by_distance",
    "match_by_iou",
    "rare_classes",
    "score_arcade_segments",
    "score_arcade_stenoses",
    "score_lesions",
    "segment_counts",
    "segment_sets",
    "set_exact_match",
    "set_f1",
    "vessel_accuracy",
]
