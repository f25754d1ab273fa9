"""The sheet that shows measured lesions beside their truth."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.report import LesionComparison, comparison_sheet
from monai_lora_sam.coronary.report.comparison_sheet import HALF, ZOOM

SIDE = 2 * HALF * ZOOM


def comparison(**changes) -> LesionComparison:
    image, mask = np.full((200, 300), 0.5), np.zeros((200, 300), bool)
    mask[95:105] = True
    known = {"title": "1", "image": image, "mask": mask, "true_xy": (150.0, 100.0)}
    return LesionComparison(**{**known, **changes})


def test_angiogram_and_mask_are_beside_each_other_and_marked():
    line = [(x, 100.0) for x in range(140, 161, 2)]
    sheet = comparison_sheet([comparison(measured_xy=line, measured_mld_xy=(152.0, 100.0))] * 3)
    assert sheet.size == (2 * 2 * SIDE, 2 * SIDE)  # three in two columns
    pixels = np.asarray(sheet)[:SIDE, : 2 * SIDE].astype(int)
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 50)
    rows, columns = np.nonzero(red[:, :SIDE])
    assert columns.mean() / ZOOM + 150 - HALF == pytest.approx(151, abs=1.5)
    assert rows.mean() / ZOOM + 100 - HALF == pytest.approx(100.5, abs=1)
    assert (red[:, :SIDE] == red[:, SIDE:]).all()
    assert pixels[5, SIDE - 5].tolist() == [127] * 3 and pixels[5, -5].tolist() == [0] * 3
    assert pixels[SIDE // 2 + 3, -5].tolist() == [160] * 3


def test_a_lesion_that_was_not_found_has_no_red():
    pixels = np.asarray(comparison_sheet([comparison(true_xy=(2.0, 3.0))])).astype(int)
    assert not ((pixels[..., 0] > 200) & (pixels[..., 1] < 50)).any()
    assert ((pixels[..., 0] > 200) & (pixels[..., 1] > 200) & (pixels[..., 2] < 50)).any()


def test_bad_input():
    with pytest.raises(ValueError, match="at least one lesion"):
        comparison_sheet([])
    with pytest.raises(ValueError, match=r"7: expected a mask of shape \(200, 300\), found \(5, 5\)"):
        comparison_sheet([comparison(title="7", mask=np.zeros((5, 5), bool))])
