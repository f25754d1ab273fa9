"""The projection between numbers of channels."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.losses import FeatureProjection


def test_each_place_is_projected_alone() -> None:
    projection = FeatureProjection(3, 5)
    features = torch.rand(2, 3, 4, 6)
    linear = torch.einsum("oi,bihw->bohw", projection.project.weight[:, :, 0, 0], features)
    expected = linear + projection.project.bias[:, None, None]
    torch.testing.assert_close(projection(features), expected)


def test_equal_channels_pass_as_they_are() -> None:
    projection, features = FeatureProjection(3, 3), torch.rand(2, 3, 4, 4)
    assert projection(features) is features and not list(projection.parameters())


def test_wrong_channels() -> None:
    with pytest.raises(ValueError, match="expected channels from 1 on, found 0 and 5"):
        FeatureProjection(0, 5)
