"""Compare the masks and the presence that phrases gave with the truth."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from monai_lora_sam.losses.prompted_loss import PromptedLoss


class TextLoss(nn.Module):
    """Add the loss of the masks of present phrases and the cross-entropy of every phrase's presence.

    A phrase that names nothing in the image trains presence alone: an empty mask as a target would teach the decoder to
    find nothing.

    Args:
        presence_weight: of the presence beside the masks; 0 or more.
        iou_weight: see :class:`PromptedLoss`.

    Shapes:
        logits, truth, valid: (P, 1, H, W), see :class:`PromptedLoss`; iou (P, 1); presence, present and weight (P,):
        logits, 1 for present and 0 for absent, and the weight of the phrase. Returns a scalar.

    Raises:
        ValueError: a negative weight, or tensors that do not fit each other.

    Example:
        >>> import torch
        >>> truth = torch.ones(2, 1, 2, 2) * torch.tensor([1.0, 0])[:, None, None, None]
        >>> loss = TextLoss()(40 * truth, torch.ones(2, 1), truth, torch.tensor([40.0, -40]), torch.tensor([1.0, 0]))
        >>> bool(loss < 1e-4)
        True
    """

    def __init__(self, presence_weight: float = 1.0, iou_weight: float = 1.0) -> None:
        super().__init__()
        if not (presence_weight >= 0 and math.isfinite(presence_weight)):
            raise ValueError(f"presence_weight: expected 0 or more, found {presence_weight!r}")
        self.presence_weight = presence_weight
        self.masks = PromptedLoss(iou_weight)

    def forward(
        self,
        logits: Tensor,
        iou: Tensor,
        truth: Tensor,
        presence: Tensor,
        present: Tensor,
        valid: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        if presence.shape != logits.shape[:1] or present.shape != presence.shape:
            raise ValueError(
                f"expected presence and present of the shape {tuple(logits.shape[:1])}, found {tuple(presence.shape)} "
                f"and {tuple(present.shape)}"
            )
        loss = self.presence_weight * functional.binary_cross_entropy_with_logits(
            presence.float(), present.float(), weight=weight
        )
        shown = present > 0.5
        if not shown.any():
            return loss + 0 * (
                logits.sum() + iou.sum()
            )  # so that every process has gradients of the same tensors
        inside = None if valid is None else valid[shown]
        if weight is None:
            return loss + self.masks(logits[shown], iou[shown], truth[shown], inside)
        parts = [
            share
            * self.masks(
                logits[place, None],
                iou[place, None],
                truth[place, None],
                None if valid is None else valid[place, None],
            )
            for place, share in zip(shown.nonzero()[:, 0].tolist(), weight[shown].unbind(), strict=True)
        ]
        return loss + sum(parts) / weight[shown].sum()  # type: ignore[return-value]
