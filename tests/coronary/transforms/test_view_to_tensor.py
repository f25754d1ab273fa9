from __future__ import annotations

import pytest
import torch

from monai_lora_sam.coronary.transforms import ViewToTensord


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ((30, -20.5), [30.0, -20.5]),
        ([-180, 90], [-180.0, 90.0]),
        (None, [torch.nan, torch.nan]),
        ((None, 5.0), [torch.nan, 5.0]),
        (torch.tensor([1.0, 2.0]), [1.0, 2.0]),
    ],
)
def test_pairs_become_tensors(view, expected):
    tensor = ViewToTensord()({"view": view})["view"]
    assert tensor.dtype == torch.float32
    torch.testing.assert_close(tensor, torch.tensor(expected), equal_nan=True)


def test_a_missing_view_is_unknown():
    assert torch.isnan(ViewToTensord()({})["view"]).all()


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ((181, 0), "primary angle within 180 degrees of 0, found 181"),
        ((0, -91), "secondary angle within 90 degrees of 0, found -91"),
        ((1, 2, 3), r"expected \(primary, secondary\) in degrees, found \(1, 2, 3\)"),
        ("LAO 30", r"expected \(primary, secondary\) in degrees, found 'LAO 30'"),
        (30.0, r"expected \(primary, secondary\) in degrees, found 30"),
    ],
)
def test_bad_views_are_refused(view, message):
    with pytest.raises(ValueError, match=message):
        ViewToTensord()({"view": view})
