"""Names of pieces painted onto a drawn vessel."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.vessel_tree import (
    LabelledPiece,
    LabelledTree,
    build_vessel_tree,
    paint_segments,
)

MASK = np.zeros((30, 100), dtype=bool)
MASK[12:17, 5:95] = True


def labelled(*ends_and_ids):
    """Return a tree of pieces (first column, last column, ARCADE id) along the vessel's middle."""
    pieces = []
    for first, last, number in ends_and_ids:
        points = np.column_stack([np.full(last - first, 14.0), np.arange(first, last, dtype=float)])
        pieces.append(LabelledPiece(0, points, float(last - first), number, None, 1.0))
    return LabelledTree(build_vessel_tree(MASK), tuple(pieces), None, True)


def test_pixels_get_the_name_of_the_nearest_piece():
    painted = paint_segments(labelled((5, 50, 6), (50, 95, 7)), MASK)
    assert painted.dtype == np.uint8
    assert set(np.unique(painted[:, :49][MASK[:, :49]])) == {6}
    assert set(np.unique(painted[:, 50:][MASK[:, 50:]])) == {7}
    assert not painted[~MASK].any()


def test_probability_decides_near_the_border_of_two_names_alone():
    probability = np.zeros((26, *MASK.shape))
    probability[7] = 1.0
    painted = paint_segments(labelled((5, 50, 6), (50, 95, 7)), MASK, probability)
    assert painted[14, 48] == 7  # as near to one as to the other, up to the tolerance
    assert painted[14, 30] == 6


def test_parts_without_a_centreline_stay_without_a_name():
    crumb = MASK.copy()
    crumb[2, 2] = True
    assert paint_segments(labelled((5, 95, 6)), crumb)[2, 2] == 0


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [(MASK.astype(int), TypeError, "bool array"), (MASK[:20], ValueError, r"shape \(30, 100\), found")],
)
def test_other_masks_are_refused(mask, error, message):
    with pytest.raises(error, match=message):
        paint_segments(labelled((5, 95, 6)), mask)
