"""Diameters against Murray's law."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom.diameters import murray_daughter_mm, murray_parent_mm, vessel_diameters


def test_murrays_law_by_hand() -> None:
    assert murray_parent_mm([3.0, 4.0, 5.0]) == pytest.approx(6.0)  # 27 + 64 + 125 = 216
    assert murray_daughter_mm(6.0, 5.0) == pytest.approx(91 ** (1 / 3))
    with pytest.raises(ValueError, match="narrower than its parent"):
        murray_daughter_mm(2.0, 2.0)


def test_each_bifurcation_keeps_the_sum_of_cubes_up_to_the_taper() -> None:
    arc = np.linspace(0, 100, 1001)
    diameter, branches = vessel_diameters(arc, 4.0, 1.5, [200, 600], [2.2, 1.6])
    assert diameter[-1] == pytest.approx(1.5, abs=1e-4)
    taper = np.log(diameter[100] / diameter[200]) / (arc[200] - arc[100])
    for index, branch in zip([200, 600], branches, strict=True):
        behind = index + int(np.ceil(diameter[index] / 0.1)) + 1
        untapered = diameter[behind] * np.exp(taper * (arc[behind] - arc[index]))
        assert untapered**3 + branch**3 == pytest.approx(diameter[index] ** 3, rel=1e-6)


def test_a_branch_wider_than_its_parent_is_made_narrower() -> None:
    diameter, branches = vessel_diameters(np.linspace(0, 50, 126), 2.0, 1.2, [40], [3.0])
    assert branches[0] < diameter[40]
    assert np.all(np.diff(diameter) <= 0)
