"""The loss of the diameter network."""

from __future__ import annotations

from torch import Tensor, nn


class DiameterLoss(nn.Module):
    """Sum the weighted mean absolute error of the diameter and a part of that of the offset.

    Args:
        offset_weight: of the offset's error.

    Shapes:
        read (B, 2, L): diameter and offset; truth (B, 3, L): diameter, offset and weight, 0 where unknown.

    Raises:
        ValueError: other shapes.

    Example:
        >>> import torch
        >>> DiameterLoss(offset_weight=0)(torch.zeros(1, 2, 8), torch.ones(1, 3, 8))
        tensor(1.)
    """

    def __init__(self, offset_weight: float = 0.3) -> None:
        super().__init__()
        self.offset_weight = offset_weight

    def forward(self, read: Tensor, truth: Tensor) -> Tensor:
        if read.ndim != 3 or read.shape[1] != 2 or truth.shape != (read.shape[0], 3, read.shape[2]):
            raise ValueError(
                f"expected (B, 2, L) and (B, 3, L), found {tuple(read.shape)} and {tuple(truth.shape)}"
            )
        diameter, offset, weight = truth.unbind(dim=1)
        known = (weight > 0).float()
        of_diameter = ((read[:, 0] - diameter).abs() * weight).sum() / weight.sum().clamp(min=1)
        of_offset = ((read[:, 1] - offset).abs() * known).sum() / known.sum().clamp(min=1)
        return of_diameter + self.offset_weight * of_offset
