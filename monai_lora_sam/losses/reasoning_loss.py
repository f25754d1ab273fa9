"""Compare answers in words and masks with the truth."""

from __future__ import annotations

import math

from monai.losses import MaskedDiceLoss
from torch import Tensor, nn
from torch.nn import functional

from monai_lora_sam.losses.valid_area import cell_weights


class ReasoningLoss(nn.Module):
    """Add the cross-entropy of an answer's tokens, and binary cross-entropy and Dice of its masks.

    The three terms and their weights are LISA's (Lai et al., CVPR 2024). Cross-entropy is the mean over the tokens of
    all answers, that of masks the mean over each mask's valid pixels, Dice is MONAI's. Pixels that are not valid,
    padding and regions to be ignored, count in none. Answers without masks train the words alone.

    Args:
        language_weight, bce_weight, dice_weight: of the terms; 0 or more.

    Shapes:
        token_logits (A, V), of the tokens of all answers; tokens (A,); logits, truth, valid (K, 1, H, W), of all masks;
        K may be 0. Returns a scalar.

    Raises:
        ValueError: a negative weight, or tensors that do not fit each other.

    Example:
        >>> import torch
        >>> truth = torch.ones(1, 1, 2, 2)
        >>> words, said = torch.tensor([[0.0, 40]]), torch.tensor([1])
        >>> bool(ReasoningLoss()(words, said, 40 * truth, truth, truth) < 1e-4)
        True
    """

    def __init__(
        self, language_weight: float = 1.0, bce_weight: float = 2.0, dice_weight: float = 0.5
    ) -> None:
        super().__init__()
        for name, weight in (
            ("language_weight", language_weight),
            ("bce_weight", bce_weight),
            ("dice_weight", dice_weight),
        ):
            if not (weight >= 0 and math.isfinite(weight)):
                raise ValueError(f"{name}: expected 0 or more, found {weight!r}")
        self.language_weight, self.bce_weight, self.dice_weight = language_weight, bce_weight, dice_weight
        self.dice = MaskedDiceLoss(sigmoid=True)

    def forward(
        self, token_logits: Tensor, tokens: Tensor, logits: Tensor, truth: Tensor, valid: Tensor
    ) -> Tensor:
        if token_logits.ndim != 2 or tokens.shape != token_logits.shape[:1] or not len(tokens):
            raise ValueError(
                f"expected token_logits (A, V) and tokens (A,), found {tuple(token_logits.shape)} and "
                f"{tuple(tokens.shape)}"
            )
        if logits.ndim != 4 or logits.shape[1] != 1 or not logits.shape == truth.shape == valid.shape:
            raise ValueError(
                f"expected logits, truth and valid of one shape (K, 1, H, W), found {tuple(logits.shape)}, "
                f"{tuple(truth.shape)} and {tuple(valid.shape)}"
            )
        loss = self.language_weight * functional.cross_entropy(token_logits.float(), tokens)
        if not len(logits):
            return loss
        logits, truth = logits.float(), truth.float()
        inside = cell_weights(valid, logits)
        pixels = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        entropy = (inside * pixels).sum((1, 2, 3)) / inside.sum((1, 2, 3)).clamp_min(1)
        return loss + self.bce_weight * entropy.mean() + self.dice_weight * self.dice(logits, truth, inside)
