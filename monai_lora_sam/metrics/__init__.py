"""Metrics that MONAI lacks, scores of one object by MONAI's, means with intervals, paired comparisons of methods."""

from monai_lora_sam.metrics.agreement import Agreement, agreement
from monai_lora_sam.metrics.centreline_dice import CenterlineDiceMetric, centreline_dice
from monai_lora_sam.metrics.mean_with_interval import mean_with_interval
from monai_lora_sam.metrics.object_scores import OBJECT_SCORES, TOLERANCE_PX, object_scores
from monai_lora_sam.metrics.paired_comparison import PairedComparison, compare_methods, holm
from monai_lora_sam.metrics.phrase_scores import PhraseScore
from monai_lora_sam.metrics.reasoning_metrics import AnswerMetric, ReasoningIoUMetric

__all__ = [
    "AnswerMetric",
    "ReasoningIoUMetric",
    "Agreement",
    "CenterlineDiceMetric",
    "OBJECT_SCORES",
    "PairedComparison",
    "PhraseScore",
    "TOLERANCE_PX",
    "agreement",
    "centreline_dice",
    "compare_methods",
    "holm",
    "mean_with_interval",
    "object_scores",
]
