"""Compare a student with its teacher: image embeddings by squared distance, masks by divergence."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_lora_sam.losses.valid_area import cell_weights, resize_valid

Classes = Literal["binary", "multi"]


def feature_distance(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the share of the teacher's variance that the student leaves unexplained.

    Sum over cells and channels of (student - teacher)², divided by that of (teacher - its mean in each channel)²: 0 for
    equal features, 1 for the teacher's mean everywhere. It does not depend on the teacher's scale, but unlike a
    distance of directions (features normalised to length 1) it makes the student take over that scale, on which SAM's
    mask decoder relies. Padding is left out of all sums (MobileSAM, Zhang et al., 2023, takes the plain squared error).

    Args:
        student: (B, C, h, w); resized to the teacher's grid where the strides differ.
        teacher: (B, C, H, W), without gradient.
        valid: (B, 1, any, any), 1 in the images and 0 in their padding; None for images without padding.

    Raises:
        ValueError: features of other shapes, of other batches or channels, or a map without valid cells.

    Example:
        >>> feature_distance(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, -1.0]]]]))
        tensor(1.)
    """
    _check_maps("features", student, teacher)
    if student.shape[1] != teacher.shape[1]:
        raise ValueError(
            f"features: expected {teacher.shape[1]} channels as the teacher has, found {student.shape[1]}; "
            "FeatureProjection brings them there"
        )
    student, teacher = _full_precision(student), _full_precision(teacher.detach())
    weights = cell_weights(valid, teacher)
    student = resize_valid(student, cell_weights(valid, student), teacher.shape[-2:])
    teacher = torch.where(weights > 0, teacher, 0)
    mean = (weights * teacher).sum((0, 2, 3), keepdim=True) / weights.sum()
    variance = (weights * (teacher - mean).square()).sum()
    # Constant features have no variance: their distance is then large, not infinite.
    smallest = torch.finfo(teacher.dtype).eps * (1 + (weights * teacher.square()).sum())
    return (weights * (student - teacher).square()).sum() / torch.maximum(variance, smallest)


def mask_divergence(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 1.0,
    classes: Classes = "binary",
    valid: Tensor | None = None,
) -> Tensor:
    """Return the Kullback-Leibler divergence KL(teacher ‖ student) of masks softened by a temperature.

    Logits are divided by the temperature T and the divergence is multiplied by T², so that gradients keep their size
    (Hinton et al., 2015). It is the mean over pixels, images and, for binary masks, masks.

    Args:
        student: logits (B, C, h, w), or (B, N, M, h, w) for N prompts with M masks each.
        teacher: logits of the same prompts and masks on a grid of any size, without gradient.
        temperature: above 0.
        classes: ``"binary"``: each map is a mask of its own (Bernoulli); ``"multi"``: the maps before the last two
            dimensions exclude each other (softmax over C or M).
        valid: (B, 1, any, any), 1 in the images and 0 in their padding; None for images without padding.

    Raises:
        ValueError: an unknown kind of classes, a temperature that is not above 0, or logits that do not fit.

    Example:
        >>> mask_divergence(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), temperature=2.0)
        tensor(0.)
    """
    _check_settings(temperature, classes)
    _check_maps("logits", student, teacher)
    if student.shape[1:-2] != teacher.shape[1:-2]:
        raise ValueError(
            f"logits: expected the teacher's prompts and masks {tuple(teacher.shape[1:-2])}, found "
            f"{tuple(student.shape[1:-2])}"
        )
    maps = student.shape[:-2]
    student, teacher = (_full_precision(logits).flatten(1, -3) for logits in (student, teacher.detach()))
    weights = cell_weights(valid, teacher)
    student = resize_valid(student, cell_weights(valid, student), teacher.shape[-2:])
    teacher = torch.where(weights > 0, teacher, 0)
    divergence = functional.kl_div(
        _log_probabilities(student.unflatten(1, maps[1:]) / temperature, classes),
        _log_probabilities(teacher.unflatten(1, maps[1:]) / temperature, classes),
        reduction="none",
        log_target=True,
    ).sum(-3)
    # One map for each mask, or for each prompt where its masks exclude each other.
    divergence = divergence.reshape(len(weights), -1, *weights.shape[-2:])
    return temperature**2 * (weights * divergence).sum() / (weights.sum() * divergence.shape[1])


class DistillationLoss(nn.Module):
    """Add the distances of a student from its teacher: alpha · features + (1 - alpha) · masks.

    Features are compared by :func:`feature_distance`, masks by :func:`mask_divergence`. Everything is computed in
    float32 (float64 stays), under autocast too.

    Args:
        alpha: share of the features, 0 to 1. With 1 no masks are needed, with 0 no features.
        temperature: softens both masks' probabilities; above 0.
        classes: ``"binary"`` for masks of their own, ``"multi"`` for masks that exclude each other.

    Shapes:
        student_features, teacher_features: (B, C, h, w) on grids of any size. student_logits, teacher_logits: (B, C, h,
        w) or (B, N, M, h, w). valid: (B, 1, H, W), 1 in the images and 0 in their padding, see :func:`valid_area`.
        Returns a scalar.

    Raises:
        ValueError: settings outside their ranges, a part that is missing, or tensors that do not fit each other.

    Example:
        >>> loss = DistillationLoss(alpha=1.0)
        >>> features = torch.rand(1, 256, 8, 8)
        >>> loss(features, features)
        tensor(0.)
    """

    def __init__(self, alpha: float = 0.5, temperature: float = 2.0, classes: Classes = "binary") -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha: expected 0 to 1, found {alpha!r}")
        _check_settings(temperature, classes)
        self.alpha, self.temperature, self.classes = alpha, temperature, classes

    def forward(
        self,
        student_features: Tensor | None = None,
        teacher_features: Tensor | None = None,
        student_logits: Tensor | None = None,
        teacher_logits: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        parts = []
        if self.alpha > 0:
            student, teacher = _both("features", student_features, teacher_features)
            with torch.autocast(teacher.device.type, enabled=False):
                parts.append(self.alpha * feature_distance(student, teacher, valid))
        if self.alpha < 1:
            student, teacher = _both("logits", student_logits, teacher_logits)
            with torch.autocast(teacher.device.type, enabled=False):
                divergence = mask_divergence(student, teacher, self.temperature, self.classes, valid)
            parts.append((1 - self.alpha) * divergence)
        return torch.stack(parts).sum()


def _log_probabilities(logits: Tensor, classes: Classes) -> Tensor:
    """Return logarithms of probabilities whose exponentials sum to 1 over the third dimension from the end."""
    if classes == "multi":
        return logits.log_softmax(-3)
    inside = functional.logsigmoid(logits)
    outside = functional.logsigmoid(-logits)
    return torch.stack([inside, outside], dim=-3)


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _both(what: str, student: Tensor | None, teacher: Tensor | None) -> tuple[Tensor, Tensor]:
    if student is None or teacher is None:
        missing = [
            f"{who}_{what}" for who, given in (("student", student), ("teacher", teacher)) if given is None
        ]
        raise ValueError(f"expected {' and '.join(missing)} for this alpha, found none")
    return student, teacher


def _check_maps(what: str, student: Tensor, teacher: Tensor) -> None:
    dimensions = (4,) if what == "features" else (4, 5)
    for who, tensor in (("student", student), ("teacher", teacher)):
        if tensor.ndim not in dimensions or 0 in tensor.shape or not tensor.is_floating_point():
            words = " or ".join(map(str, dimensions))
            raise ValueError(
                f"{who}_{what}: expected floating point numbers of {words} dimensions, found {tensor.dtype} of the "
                f"shape {tuple(tensor.shape)}"
            )
    if student.shape[0] != teacher.shape[0] or student.ndim != teacher.ndim:
        raise ValueError(
            f"{what}: expected the teacher's batch {tuple(teacher.shape)}, found {tuple(student.shape)}"
        )


def _check_settings(temperature: float, classes: str) -> None:
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature: expected a finite number above 0, found {temperature!r}")
    if classes not in get_args(Classes):
        raise ValueError(f"classes: expected one of {list(get_args(Classes))}, found {classes!r}")
