"""Condition feature maps on the C-arm's view angles."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Whole numbers of cycles a turn, so that +180° and -180° are the same view, geometrically spaced so that
#: both a quarter turn and a few degrees move the code. Random or unspaced frequencies followed by a
#: LayerNorm collapse all angles onto one point.
CYCLES_PER_TURN = (1, 2, 4, 8, 16)


class ViewAngleEncoder(nn.Module):
    """Encode primary and secondary angle as sines and cosines, then a two-layer perceptron.

    Args:
        channels: length of the vector that comes out.
        hidden: width of the perceptron; by default three times ``channels``, which is about one million
            parameters together with the FiLM layer of a head of 256 channels.

    Shapes:
        view: (B, 2) degrees with DICOM's signs (primary positive = LAO, secondary positive = cranial).
        A row that holds NaN is an unknown view and gets a learned neutral code. Returns (B, channels).

    Raises:
        ValueError: if ``view`` is not (B, 2).

    Example:
        >>> ViewAngleEncoder(32)(torch.tensor([[30.0, -20.0], [float("nan"), float("nan")]])).shape
        torch.Size([2, 32])
    """

    cycles: Tensor

    def __init__(self, channels: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or 3 * channels
        self.register_buffer("cycles", torch.tensor(CYCLES_PER_TURN, dtype=torch.float32), persistent=False)
        code = 4 * len(CYCLES_PER_TURN)
        self.neutral = nn.Parameter(torch.zeros(code))
        self.perceptron = nn.Sequential(
            nn.Linear(code, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, channels),
        )

    def code(self, view: Tensor) -> Tensor:
        """Return the sines and cosines of (B, 2) degrees, (B, 4 · frequencies), the neutral code for NaN."""
        if view.ndim != 2 or view.shape[1] != 2:
            raise ValueError(f"view angles: expected (B, 2) degrees, found shape {tuple(view.shape)}")
        known = ~view.isnan().any(dim=1, keepdim=True)
        degrees = torch.where(known, view, 0.0).float()
        # Exact in floating point, so that +180° and -180° give the same bits and not only nearly.
        degrees = torch.where(degrees >= 180.0, degrees - 360.0, degrees)
        radians = degrees * (math.pi / 180.0)
        phase = radians.unsqueeze(-1) * self.cycles  # (B, 2, frequencies)
        waves = torch.cat([phase.sin(), phase.cos()], dim=-1).flatten(1)
        return torch.where(known, waves, self.neutral)

    def forward(self, view: Tensor) -> Tensor:
        return self.perceptron(self.code(view))


class FiLM(nn.Module):
    """Scale and shift feature maps by a vector (Perez et al., AAAI 2018).

    Shapes: features (B, channels, H, W), condition (B, condition_channels). Starts as the identity.
    """

    def __init__(self, condition_channels: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(condition_channels, 2 * channels)
        nn.init.normal_(self.project.weight, std=1e-3)
        nn.init.zeros_(self.project.bias)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.project(condition)[..., None, None].chunk(2, dim=1)
        return features * (1 + scale) + shift


class ViewConditioning(nn.Module):
    """Scale and shift feature maps by the view angles, as the ``conditioning`` of a segmentation head.

    Shapes: features (B, channels, H, W); view (B, 2) degrees, (1, 2) for one view of all, or None; a row of NaN
    is an unknown view. Returns features of the same shape.

    Raises:
        ValueError: if there are neither one nor B view angles.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.view_encoder = ViewAngleEncoder(channels)
        self.film = FiLM(channels, channels)

    def forward(self, features: Tensor, view: Tensor | None = None) -> Tensor:
        if view is None:
            view = features.new_full((1, 2), float("nan"))
        # Not `len`, which would fix the size of the batch where the network is exported.
        if view.shape[0] not in (1, features.shape[0]):
            raise ValueError(f"expected 1 or {len(features)} view angles for the batch, found {len(view)}")
        return self.film(features, self.view_encoder(view.to(features.device)))
