"""The loss of the refiner of the vessel map."""

from __future__ import annotations

from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional

NEAR_LEVEL = 0.1  # probability of stage 1 that is near a vessel
NEAR_REACH = 13  # side in px of the square around such a pixel


class RefinementLoss(nn.Module):
    """Sum cross-entropy, weighted near vessels and in lesions, and Dice.

    The weights follow stage 1's map and the boxes of lesions, not the label itself: weights by the label would take
    the map out of calibration, and widths are integrals of it.

    Args:
        near_weight: added weight near vessels that stage 1 found.
        lesion_weight: added weight in lesions.
        dice_weight: weight of the Dice term.

    Shapes:
        logits (B, 1, H, W); maps (B, 3, H, W): label, boxes of lesions and stage 1's map, each 0 to 1.

    Raises:
        ValueError: other shapes.

    Example:
        >>> import torch
        >>> RefinementLoss(dice_weight=0)(torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 8))
        tensor(0.6931)
    """

    def __init__(
        self, near_weight: float = 3.0, lesion_weight: float = 4.0, dice_weight: float = 0.2
    ) -> None:
        super().__init__()
        self.near_weight, self.lesion_weight, self.dice_weight = near_weight, lesion_weight, dice_weight
        self.dice = DiceLoss(sigmoid=True, batch=True)

    def forward(self, logits: Tensor, maps: Tensor) -> Tensor:
        expected = (logits.shape[0], 3, *logits.shape[2:])
        if logits.ndim != 4 or logits.shape[1] != 1 or maps.shape != expected:
            raise ValueError(
                "expected logits (B, 1, H, W) and maps (B, 3, H, W), "
                f"found {tuple(logits.shape)} and {tuple(maps.shape)}"
            )
        label, lesions, found = maps[:, 0:1], maps[:, 1:2], maps[:, 2:3]
        near = functional.max_pool2d((found > NEAR_LEVEL).float(), NEAR_REACH, 1, NEAR_REACH // 2)
        weights = 1 + self.near_weight * near + self.lesion_weight * lesions
        entropy = functional.binary_cross_entropy_with_logits(logits, label, reduction="none")
        weighted = (entropy * weights).sum() / weights.sum()
        return weighted + self.dice_weight * self.dice(logits, label)
