"""Bring a student's features to a teacher's number of channels."""

from __future__ import annotations

from torch import Tensor, nn


class FeatureProjection(nn.Module):
    """Map each place's channels by a learnt 1 × 1 convolution; equal numbers of channels pass as they are.

    It is needed while a student is trained and thrown away afterwards.

    Args:
        student_channels: of the features that come in.
        teacher_channels: of those that go out.

    Shapes:
        features: (B, student_channels, h, w); returns (B, teacher_channels, h, w).

    Raises:
        ValueError: a number below 1.

    Example:
        >>> FeatureProjection(24, 256)(torch.rand(1, 24, 8, 8)).shape
        torch.Size([1, 256, 8, 8])
    """

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        if min(student_channels, teacher_channels) < 1:
            raise ValueError(f"expected channels from 1 on, found {student_channels} and {teacher_channels}")
        same = student_channels == teacher_channels
        self.project = nn.Identity() if same else nn.Conv2d(student_channels, teacher_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.project(features)
