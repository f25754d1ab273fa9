"""Each thing that can be wrong with a lesion is one error that names the file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from monai_lora_sam.coronary.transforms import CheckLesionsd
from monai_lora_sam.coronary.transforms.load_angiogram import as_meta_tensor

GOOD = {
    "box_xyxy": [2.0, 3.0, 12.0, 9.0],
    "centre_xy": [6.0, 6.0],
    "percent_diameter_stenosis": 55.0,
    "mld_px": 1.5,
    "mld_mm": None,
}


def item(*lesions: Any, mask: np.ndarray | None = None) -> dict[str, Any]:
    made = {"image": as_meta_tensor(np.zeros((20, 30), np.float32), "a.png"), "lesions": list(lesions)}
    return made if mask is None else made | {"label": as_meta_tensor(mask, "m.png")}


def test_good_lesions_pass_unchanged():
    lesions = [GOOD, {"box_xyxy": [25, 15, 34, 22]}]  # the second reaches past the border: boxes do
    checked = CheckLesionsd()(item(*lesions))
    assert checked["lesions"] == lesions
    assert CheckLesionsd()(item())["lesions"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box_xyxy": [2, 3, 2, 9]}, r"expected a box of a positive area, found \[2, 3, 2, 9\]"),
        ({"box_xyxy": [12, 3, 2, 9]}, "expected a box of a positive area"),
        ({"box_xyxy": [40, 3, 50, 9]}, r"expected a box in the image of 30 × 20 pixels \(width × height\)"),
        ({"box_xyxy": [2, -9, 12, 0]}, "expected a box in the image"),
        ({"box_xyxy": [2, 3, math.nan, 9]}, "box_xyxy: expected 4 finite numbers, found .*nan"),
        ({"box_xyxy": [2, 3, 9]}, "box_xyxy: expected 4 finite numbers"),
        ({"box_xyxy": ["2", "3", "12", "9"]}, "box_xyxy: expected 4 finite numbers, found"),
        ({"box_xyxy": [[2], [3, 4], 12, 9]}, "box_xyxy: expected 4 finite numbers, found"),
        ({"polygons_xy": {"size": [8, 8]}}, "polygons_xy: expected a list of rings"),
        (
            {"polygons_xy": [["2", "3", "12", "9", "2", "9"]]},
            "polygons_xy: expected at least 3 finite points",
        ),
        ({"polygons_xy": [None]}, "polygons_xy: expected at least 3 finite points"),
        ({"box_xyxy": None}, "box_xyxy: expected 4 finite numbers, found None"),
        ({"centre_xy": [13.0, 6.0]}, "expected a centre in the box"),
        ({"centre_xy": [math.inf, 6.0]}, "centre_xy: expected 2 finite numbers"),
        (
            {"percent_diameter_stenosis": 140},
            "percent_diameter_stenosis: expected a number between 0 and 100",
        ),
        ({"percent_diameter_stenosis": math.nan}, "percent_diameter_stenosis: expected a number"),
        ({"percent_diameter_stenosis": "55"}, "percent_diameter_stenosis: expected a number"),
        ({"mld_px": 0.0}, "mld_px: expected a number between 0 and inf, or null, found 0.0"),
        ({"polygons_xy": [[1, 2, 3, 4]]}, "polygons_xy: expected at least 3 finite points"),
        ({"polygons_xy": [[1, 2, 3, 4, 5, math.nan]]}, "polygons_xy: expected at least 3 finite points"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as error:
        CheckLesionsd()(item(GOOD, GOOD | change))
    assert str(error.value).startswith("a.png: lesions[1]: ")


def test_no_list_of_lesions_is_an_error():
    without = item()
    del without["lesions"]
    with pytest.raises(ValueError, match=r"a.png: lesions: expected a list of lesions .*found None"):
        CheckLesionsd()(without)
    with pytest.raises(ValueError, match=r"a.png: lesions\[0\]: expected an object, found 3"):
        CheckLesionsd()(item(3))


def test_a_lesion_off_the_vessels_is_an_error():
    mask = np.zeros((20, 30), np.uint8)
    mask[5, 4] = 1
    CheckLesionsd()(item(GOOD, mask=mask))
    off = GOOD | {"box_xyxy": [15.0, 3.0, 25.0, 9.0], "centre_xy": None}
    with pytest.raises(
        ValueError, match=r"a.png: lesions\[1\]: expected a lesion on a vessel, found no vessel"
    ):
        CheckLesionsd()(item(GOOD, off, mask=mask))
    CheckLesionsd()(item(GOOD, off))  # where there is no mask nothing is compared
