"""The lesion at a place: that of the whole measurement, or the narrowest place in the box."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.qca import lesion_at, measure, stenosis_at


def tube(depth: float, width: float = 14.0) -> np.ndarray:
    """Draw a straight vessel along columns 10 to 230, narrowed by a share `depth` around column 120."""
    rows, columns = np.mgrid[:80, :240].astype(float)
    bump = np.cos(np.clip((columns - 120) / 24, -1, 1) * np.pi / 2) ** 2
    inside = (columns >= 10) & (columns <= 230)
    edge = width * (1 - depth * bump) / 2 - np.abs(rows - 40)
    return np.where(inside, np.clip(edge + 0.5, 0, 1), 0.0).astype(np.float32)


def test_a_measured_stenosis_is_taken_as_it_is():
    result = measure(tube(0.6))
    (expected,) = result.lesions
    found = lesion_at(result, (100, 25, 140, 55), number=7)
    assert found is not None and found.id == 7
    assert found.percent_diameter_stenosis == expected.percent_diameter_stenosis
    assert (found.begin, found.minimum, found.end) == (expected.begin, expected.minimum, expected.end)


def test_a_slight_narrowing_is_measured_within_the_box():
    result = measure(tube(0.12))
    assert not result.lesions
    lesion = lesion_at(result, (90, 20, 150, 60))
    assert lesion is not None
    assert lesion.percent_diameter_stenosis == pytest.approx(12, abs=2.5)
    assert lesion.minimum_lumen_diameter_px == pytest.approx(14 * 0.88, abs=0.4)
    assert lesion.minimum_rc == pytest.approx([40, 120], abs=6)
    columns = lesion.profile.points_rc[[lesion.begin, lesion.end], 1]
    assert sorted(columns) == pytest.approx([81, 159], abs=1)  # the box and 15 % of its sides
    assert lesion.length_px == pytest.approx(78, abs=2)
    assert stenosis_at(result, (90, 20, 150, 60)) is None


def test_away_from_the_narrowing_there_is_nearly_none():
    lesion = lesion_at(measure(tube(0.6)), (180, 25, 210, 55))
    assert lesion is not None and abs(lesion.percent_diameter_stenosis) < 4


def test_no_vessel_no_lesion():
    assert lesion_at(measure(tube(0.6)), (100, 0, 140, 12)) is None
    assert lesion_at(measure(np.zeros((40, 40), np.float32)), (5, 5, 30, 30)) is None


@pytest.mark.parametrize("box", [(10, 10, 10, 20), (20, 10, 10, 20), (float("nan"), 0, 5, 5)])
def test_a_box_without_area_is_refused(box):
    with pytest.raises(ValueError, match="expected a box as left, top, right, bottom with an area"):
        lesion_at(measure(tube(0.6)), box)


def test_of_several_stenoses_that_in_the_box_is_taken():
    one, other = tube(0.5), np.roll(tube(0.8), 50, axis=1)
    both = np.minimum(one, other)
    both[:, :60] = one[:, :60]
    result = measure(both)
    (lesion,) = result.lesions
    assert len(lesion.stenoses) == 2 and lesion.percent_diameter_stenosis > 75
    found = lesion_at(result, (100, 25, 140, 55), number=3)
    assert found is not None and found.id == 3 and len(found.stenoses) == 1
    assert found.percent_diameter_stenosis == pytest.approx(50, abs=4)


def test_a_box_on_a_part_of_an_occlusion_is_one():
    mask = tube(0.0)
    mask[:, 100:150] = 0
    result = measure(mask)
    (lesion,) = result.lesions
    assert lesion.total_occlusion and lesion.minimum_rc == pytest.approx([40, 125], abs=3)
    found = stenosis_at(result, (80, 25, 110, 55))
    assert found is not None and found.total_occlusion and found.percent_diameter_stenosis == 100
    assert (found.begin, found.end) == (lesion.begin, lesion.end)
