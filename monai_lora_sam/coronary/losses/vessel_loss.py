"""Loss of stage 1: binary cross-entropy, Dice and, for thin vessels, soft clDice."""

from __future__ import annotations

import torch
from monai.losses import DiceCELoss, SoftclDiceLoss
from monai.utils import convert_to_tensor
from torch import nn


class VesselLoss(nn.Module):
    """Sum MONAI's binary `DiceCELoss` and, weighted, its `SoftclDiceLoss`.

    Soft clDice (Shit et al., CVPR 2021) rewards a connected centreline. All terms are computed in float32, also under
    autocast: the soft skeleton is a chain of differences, for which bfloat16's 8 bits are too few.

    Args:
        dice_weight: weight of the Dice term.
        cross_entropy_weight: weight of the binary cross-entropy.
        centreline_weight: weight of soft clDice; 0 leaves it out.
        skeleton_iterations: erosions of the soft skeleton; at least the widest vessel's radius in pixels.

    Shapes:
        logits (B, 1, H, W) of any float type; masks (B, 1, H, W) with 0 and 1 (integer, bool or float).

    Raises:
        ValueError: other shapes, or masks outside 0..1.

    Example:
        >>> VesselLoss()(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
        tensor(1.6931)
    """

    def __init__(
        self,
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        centreline_weight: float = 0.0,
        skeleton_iterations: int = 10,
    ) -> None:
        super().__init__()
        if centreline_weight < 0:
            raise ValueError(f"centreline_weight: expected 0 or more, found {centreline_weight}")
        self.dice_cross_entropy = DiceCELoss(
            sigmoid=True, lambda_dice=dice_weight, lambda_ce=cross_entropy_weight
        )
        self.centreline = SoftclDiceLoss(iter_=skeleton_iterations, sigmoid=True)
        self.centreline_weight = centreline_weight

    def forward(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if logits.ndim != 4 or logits.shape[1] != 1 or logits.shape != mask.shape:
            raise ValueError(
                "expected logits and mask of one shape (B, 1, H, W), "
                f"found {tuple(logits.shape)} and {tuple(mask.shape)}"
            )
        if mask.max() > 1 or mask.min() < 0:
            raise ValueError(
                f"expected a mask of 0 and 1, found values from {mask.min().item()} to {mask.max().item()}"
            )
        with torch.autocast(logits.device.type, enabled=False):
            # Plain tensors: MetaTensor would carry its metadata through every step of the soft skeleton.
            logits, mask = (
                convert_to_tensor(x, dtype=torch.float32, track_meta=False) for x in (logits, mask)
            )
            loss = self.dice_cross_entropy(logits, mask)
            if self.centreline_weight > 0:
                loss = loss + self.centreline_weight * self.centreline(logits, mask)
        return loss
