"""Loss of stage 2: weighted cross-entropy over the segments, and Dice of the segments present."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor, nn


class SegmentLoss(nn.Module):
    """Sum a class-weighted cross-entropy and the Dice loss over the classes that the batch holds.

    Classes absent from the batch have no Dice term. It would only repeat the cross-entropy's "nowhere", and drown the
    other classes, since an angiogram shows six of the 25 segments. Every second row and column is used: a quarter
    of the cost, and segments are wider.

    Args:
        class_weights: weights of the cross-entropy, background first, such as those of
            :func:`monai_lora_sam.data.class_weights`; None for equal weights.
        dice_weight: weight of the Dice term.

    Shapes:
        logits: (B, classes, H, W), background first; label: (B, 1, H, W) class indices of any integer type.

    Raises:
        ValueError: shapes that do not fit, a label's index that is no class, or another number of weights than
            classes.

    Example:
        >>> SegmentLoss()(torch.zeros(1, 26, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.uint8))
        tensor(4.1843)
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: Sequence[float] | None = None, dice_weight: float = 1.0) -> None:
        super().__init__()
        weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
        if weights is not None and not (torch.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError(f"class_weights: expected finite numbers from 0 on, found {weights.tolist()}")
        self.register_buffer("class_weights", weights, persistent=False)
        self.dice = DiceLoss(batch=True)
        self.dice_weight = dice_weight

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        classes = logits.shape[1]
        if logits.ndim != 4 or label.shape != (len(logits), 1, *logits.shape[2:]):
            raise ValueError(
                "expected logits (B, classes, H, W) and a label (B, 1, H, W), "
                f"found {tuple(logits.shape)} and {tuple(label.shape)}"
            )
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(f"expected {classes} class weights, found {len(self.class_weights)}")
        logits, label = logits[..., ::2, ::2].float(), label[:, 0, ::2, ::2].long()
        if label.min() < 0 or label.max() >= classes:
            raise ValueError(
                f"expected classes 0 to {classes - 1} in the label, found {int(label.min())} to {int(label.max())}"
            )
        weights = None if self.class_weights is None else self.class_weights.to(logits.device)
        loss = F.cross_entropy(logits, label, weights)
        present = label.unique()
        present = present[present > 0]
        if len(present) and self.dice_weight > 0:
            truth = (label[:, None] == present[None, :, None, None]).float()
            loss = loss + self.dice_weight * self.dice(logits.softmax(1)[:, present], truth)
        return loss
