"""Compare the masks that prompts gave, and their predicted intersection over union, with the truth."""

from __future__ import annotations

import math

from monai.losses import MaskedDiceLoss
from torch import Tensor, nn
from torch.nn import functional

from monai_lora_sam.losses.valid_area import cell_weights


class PromptedLoss(nn.Module):
    """Add binary cross-entropy, Dice and the squared error of the predicted intersection over union.

    The three terms by which LiteMedSAM's authors fine-tune it (Ma et al., 2024). Cross-entropy is the mean over each
    mask's valid pixels, Dice is MONAI's for each mask, and the intersection over union is predicted for the mask of
    logits above 0. Padding counts in none of them.

    Args:
        iou_weight: of the squared error beside the other two; 0 or more.

    Shapes:
        logits, truth: (P, 1, H, W), one mask for each prompt; iou (P, 1), predicted; valid (P, 1, H, W), 1 in the image
        and 0 in its padding; None for masks without padding. Returns a scalar.

    Raises:
        ValueError: a negative weight, or tensors that do not fit each other.

    Example:
        >>> import torch
        >>> truth = torch.ones(1, 1, 2, 2)
        >>> loss = PromptedLoss()(40 * truth, torch.ones(1, 1), truth)
        >>> bool(loss < 1e-4)
        True
    """

    def __init__(self, iou_weight: float = 1.0) -> None:
        super().__init__()
        if not (iou_weight >= 0 and math.isfinite(iou_weight)):
            raise ValueError(f"iou_weight: expected 0 or more, found {iou_weight!r}")
        self.iou_weight = iou_weight
        self.dice = MaskedDiceLoss(sigmoid=True)

    def forward(self, logits: Tensor, iou: Tensor, truth: Tensor, valid: Tensor | None = None) -> Tensor:
        if logits.ndim != 4 or logits.shape[1] != 1 or 0 in logits.shape or truth.shape != logits.shape:
            raise ValueError(
                f"expected logits and truth of one shape (P, 1, H, W), found {tuple(logits.shape)} and "
                f"{tuple(truth.shape)}"
            )
        if iou.shape != logits.shape[:2]:
            raise ValueError(f"iou: expected the shape {tuple(logits.shape[:2])}, found {tuple(iou.shape)}")
        logits, truth = logits.float(), truth.float()
        inside = cell_weights(valid, logits)
        pixels = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        entropy = (inside * pixels).sum((1, 2, 3)) / inside.sum((1, 2, 3)).clamp_min(1)
        error = (iou.float() - intersection_over_union(logits, truth, inside)).square()
        return entropy.mean() + self.dice(logits, truth, inside) + self.iou_weight * error.mean()


def intersection_over_union(logits: Tensor, truth: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the intersection over union (P, 1) of the masks of logits above 0 and the truth.

    Args:
        logits, truth: (P, 1, H, W).
        valid: (P, 1, H, W), 1 where pixels count; None where all do.

    Example:
        >>> import torch
        >>> intersection_over_union(torch.tensor([[[[1.0, 1.0]]]]), torch.tensor([[[[1.0, 0.0]]]]))
        tensor([[0.5000]])
    """
    inside = cell_weights(valid, logits.detach()) > 0.5
    found, true = (logits.detach() > 0) & inside, (truth > 0.5) & inside
    both, either = (found & true).sum((-2, -1)), (found | true).sum((-2, -1))
    return both / either.clamp_min(1)
