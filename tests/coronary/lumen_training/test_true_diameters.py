"""True diameters near a line: those of the centreline, and unknown elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.lumen_training import TrueDiameters

LINE = {
    "points_xy_px": [[float(x), 50.0] for x in range(10, 90)],
    "diameter_px": np.linspace(8, 4, 80).tolist(),
    "diameter_mm": np.linspace(2.4, 1.2, 80).tolist(),
    "reference_diameter_mm": np.full(80, 2.4).tolist(),
}


def test_the_truth_near_a_line_is_that_of_the_centreline():
    truth = TrueDiameters({"centrelines": [LINE]})
    at = np.array([[51.0, 10.0], [51.0, 49.5], [56.0, 49.5], [50.0, 95.0]])
    diameter, offset, relative = truth.along(at, np.tile([[1.0, 0.0]], (4, 1)))
    assert diameter[:2] == pytest.approx([8, 6], abs=0.05) and offset[:2] == pytest.approx([-1, -1])
    assert relative[:2] == pytest.approx([1, 0.75], abs=0.01)
    assert np.isnan(diameter[2:]).all()  # too far beside it, and behind its end
    across = truth.along(at[1:2], np.array([[0.0, 1.0]]))[0]
    assert np.isnan(across).all()  # a line that crosses


def test_a_phantom_without_a_centreline_is_refused():
    short = {name: values[:2] for name, values in LINE.items()}
    for lines in ([], [short]):
        with pytest.raises(ValueError, match=r"expected a centreline of 2\.0 px or more, found none"):
            TrueDiameters({"centrelines": lines})
