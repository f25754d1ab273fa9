"""Take a student's scores from the output of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from monai_lora_sam.distillation.distillation import DistilledBatch
from monai_lora_sam.losses import cell_weights, feature_distance, resize_valid


def unexplained_share(output: Mapping[str, Any]) -> float:
    """Return the share of the teacher's variance that the student leaves unexplained, in one batch.

    Args:
        output: of MONAI's evaluator; ``pred`` is a :class:`DistilledBatch`.
    """
    batch: DistilledBatch = output["pred"]
    return float(feature_distance(batch.student_features, batch.teacher_features, batch.valid))


def both_masks(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the student's and the teacher's masks (B, N, H, W) as 0 and 1 on the teacher's grid, without padding.

    Args:
        output: of MONAI's evaluator; ``pred`` is a :class:`DistilledBatch` with masks.
    """
    batch: DistilledBatch = output["pred"]
    assert batch.student_logits is not None and batch.teacher_logits is not None  # there are in evaluation
    student, teacher = batch.student_logits.flatten(1, 2), batch.teacher_logits.flatten(1, 2)
    inside = cell_weights(batch.valid, teacher)
    student = resize_valid(student, cell_weights(batch.valid, student), teacher.shape[-2:])
    return tuple(((logits > 0) & (inside > 0)).float() for logits in (student, teacher))  # type: ignore[return-value]
