"""Names along drawn vessels, whose anatomy is known, from noisy probabilities."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk, line

from monai_lora_sam.coronary.anatomy import Side, SyntaxSegment, adjoins, arcade_id
from monai_lora_sam.coronary.phantom import PhantomConfig, generate_phantom
from monai_lora_sam.coronary.vessel_tree import (
    LabellingWeights,
    build_vessel_tree,
    label_pixels,
    label_tree,
    paint_segments,
)

S = SyntaxSegment


def number(name: str) -> int:
    return arcade_id(S(name)) if name != "0" else 0


def draw(shape, strokes, radius=3.0):
    """Draw (name, from row, from column, to row, to column) and return mask and truth; the last is on top."""
    truth = np.zeros(shape, dtype=np.uint8)
    mask = np.zeros(shape, dtype=bool)
    for name, *ends in strokes:
        drawn = np.zeros(shape, dtype=bool)
        drawn[line(*ends)] = True
        wide = ndimage.distance_transform_edt(~drawn) <= radius
        mask |= wide
        truth[wide] = number(name)
    return mask, truth


def believe(truth, sure=0.8):
    """Return probabilities (26, H, W): `sure` of the truth, the rest spread evenly."""
    return np.where(np.arange(26)[:, None, None] == truth, sure, (1 - sure) / 25).astype(np.float32)


def names(labelled):
    """Return the names along the branches, each change once."""
    found = [piece.segment.value if piece.segment else "0" for piece in labelled.pieces]
    return [name for index, name in enumerate(found) if index == 0 or found[index - 1] != name]


LAD = [("5", 20, 10, 20, 40), ("6", 20, 40, 20, 100), ("7", 20, 100, 20, 180), ("8", 20, 180, 20, 250)]


def label(truth, mask, **options):
    return label_tree(build_vessel_tree(mask), believe(truth), mask, **options)


def test_a_clear_vessel_keeps_its_names_and_their_places():
    mask, truth = draw((40, 260), LAD)
    labelled = label(truth, mask)
    assert names(labelled) in (["5", "6", "7", "8"], ["8", "7", "6", "5"])
    assert labelled.side is Side.LEFT
    assert labelled.is_optimal
    assert labelled.segments == (S("5"), S("6"), S("7"), S("8"))
    painted = paint_segments(labelled, mask)
    assert painted.dtype == np.uint8
    assert not painted[~mask].any()
    wrong = np.argwhere(mask & (painted != truth))[:, 1]
    borders = np.array([40, 100, 180])
    assert np.abs(wrong[:, None] - borders).min(axis=1).max() <= 8  # a piece's length
    # Near a border probability decides.
    assert (
        ((paint_segments(labelled, mask, believe(truth)) == truth)[mask]).mean()
        > (painted == truth)[mask].mean()
    )
    assert sum(piece.length_px for piece in labelled.pieces) == pytest.approx(
        labelled.tree.centreline_length_px
    )


@pytest.mark.parametrize("stray", ["2", "13", "5", "9"])
def test_a_stretch_that_cannot_be_is_overruled(stray):
    mask, truth = draw((40, 260), LAD)
    seen = truth.copy()
    seen[(truth == number("7")) & (np.arange(260) > 125) & (np.arange(260) < 155)] = number(stray)
    assert (label_pixels(believe(seen), mask)[mask] == truth[mask]).mean() < 0.9
    labelled = label(seen, mask, weights=LabellingWeights(change_px=60.0))
    assert set(names(labelled)) == {"5", "6", "7", "8"}
    painted = paint_segments(labelled, mask)
    assert (painted == truth)[mask].mean() > 0.95


def test_there_is_one_left_main_where_two_are_believed():
    mask, truth = draw(
        (150, 260),
        [("11", 20, 60, 140, 60), ("5", 20, 10, 20, 60), ("6", 20, 60, 20, 140), ("5", 20, 200, 20, 250)],
    )
    assert mask.any(axis=0)[60:140].all()
    mask, truth = draw(
        (150, 260),
        [
            *(("11", 20, 60, 140, 60), ("5", 20, 10, 20, 60), ("6", 20, 60, 20, 140)),
            *(("7", 20, 140, 20, 210), ("5", 20, 211, 20, 250)),
        ],
    )
    assert (label_pixels(believe(truth), mask)[:, 220] == number("5")).any()
    labelled = label(truth, mask)
    mains = [piece.points_rc for piece in labelled.pieces if piece.segment is S.LEFT_MAIN]
    columns = np.concatenate(mains)[:, 1]
    assert columns.min() < 20
    assert columns.max() < 70
    assert {"5", "6", "7", "11"} <= set(names(labelled))


def test_only_one_coronary_artery():
    mask, truth = draw((40, 260), [("1", 20, 10, 20, 60), ("2", 20, 60, 20, 110), ("7", 20, 110, 20, 250)])
    labelled = label(truth, mask)
    assert labelled.side is Side.LEFT  # the longer stretch
    assert not {"1", "2"} & set(names(labelled))
    assert labelled.is_optimal


def test_dominance_leaves_out_segments_that_do_not_exist():
    mask, truth = draw((40, 260), [("11", 20, 10, 20, 70), ("13", 20, 70, 20, 160), ("15", 20, 160, 20, 250)])
    assert {"11", "13", "15"} <= set(names(label(truth, mask)))
    assert "15" in names(label(truth, mask, dominance="left"))
    assert "15" not in names(label(truth, mask, dominance="right"))
    mask, truth = draw((40, 260), [("2", 20, 10, 20, 70), ("3", 20, 70, 20, 160), ("16", 20, 160, 20, 250)])
    assert "16" in names(label(truth, mask, dominance="right"))
    for dominance in ("left", "co"):
        assert "16" not in names(label(truth, mask, dominance=dominance))
    with pytest.raises(ValueError, match="both"):
        label(truth, mask, dominance="both")


def test_vessels_that_cross_go_on_behind_each_other():
    mask, truth = draw((200, 200), [("12a", 20, 100, 180, 100), ("8", 100, 20, 100, 180)], radius=2.0)
    labelled = label(truth, mask)
    for name, axis in (("12a", 0), ("8", 1)):
        along = np.concatenate([p.points_rc for p in labelled.pieces if p.segment is S(name)])[:, axis]
        assert along.min() < 40
        assert along.max() > 160
    assert (paint_segments(labelled, mask) == truth)[mask].mean() > 0.95


def test_a_segment_goes_on_over_a_gap_but_not_over_a_wide_one():
    for gap, both in ((15, True), (90, False)):
        mask, truth = draw((40, 300), [("7", 20, 10, 20, 90), ("7", 20, 90 + gap, 20, 290)])
        labelled = label(truth, mask)
        named = {piece.branch_id for piece in labelled.pieces if piece.segment is S.LAD_MID}
        assert named == ({0, 1} if both else {0})


def test_a_loop_and_an_empty_mask():
    mask = np.zeros((120, 120), dtype=bool)
    mask[disk((60, 60), 40)] = True
    mask[disk((60, 60), 33)] = False
    truth = np.where(mask, number("3"), 0)
    assert names(label(truth, mask)) == ["3"]
    empty = np.zeros((30, 40), dtype=bool)
    labelled = label(np.zeros((30, 40)), empty)
    assert (labelled.pieces, labelled.side, labelled.segments) == ((), None, ())
    assert not paint_segments(labelled, empty).any()
    assert not paint_segments(labelled, empty, believe(np.zeros((30, 40)))).any()


def test_a_crumb_without_a_centreline_stays_without_a_name():
    mask, truth = draw((60, 260), LAD)
    mask[50:52, 100:102] = True
    assert not paint_segments(label(truth, mask), mask)[45:].any()


def test_whatever_is_believed_the_anatomy_holds():
    rng = np.random.default_rng(0)
    mask, _ = draw(
        (150, 200),
        [
            *(("5", 20, 10, 20, 60), ("6", 20, 60, 60, 190), ("11", 20, 60, 140, 70)),
            *(("9", 35, 110, 10, 190), ("13", 90, 65, 130, 170), ("9", 60, 100, 140, 190)),
        ],
    )
    for _ in range(5):
        noise = ndimage.gaussian_filter(rng.normal(size=(26, 150, 200)), (0, 8, 8)) * 60
        odds = np.exp(noise)
        labelled = label_tree(build_vessel_tree(mask), (odds / odds.sum(axis=0)).astype(np.float32), mask)
        assert labelled.is_optimal
        for one, other in pairwise(labelled.pieces):
            if one.branch_id == other.branch_id and one.segment and other.segment:
                assert one.segment is other.segment or adjoins(one.segment, other.segment)
        for segment in labelled.segments:
            drawn = np.zeros(mask.shape, dtype=bool)
            for piece in labelled.pieces:
                if piece.segment is segment:
                    drawn[tuple(np.rint(piece.points_rc).astype(int).T)] = True
            assert ndimage.label(ndimage.binary_dilation(drawn, iterations=6))[1] == 1
        assert all(0 <= piece.confidence <= 1 for piece in labelled.pieces)


@pytest.mark.parametrize("side", ["left", "right"])
def test_on_noisy_beliefs_about_a_phantom_the_anatomy_helps(side):
    phantom = generate_phantom(11, PhantomConfig(image_size=256, side=side, background=False))
    mask, truth = phantom.vessel_mask, phantom.segment_mask
    rng = np.random.default_rng(0)
    odds = np.exp(
        4.0 * believe(truth, 1.0)
        + 36 * ndimage.gaussian_filter(rng.normal(size=(26, *mask.shape)), (0, 6, 6))
    )
    belief = (odds / odds.sum(axis=0)).astype(np.float32)
    labelled = label_tree(build_vessel_tree(mask), belief, mask, dominance=phantom.dominance)
    with_anatomy = (paint_segments(labelled, mask, belief) == truth)[mask].mean()
    without = (label_pixels(belief, mask) == truth)[mask].mean()
    assert labelled.side is Side(side)
    assert with_anatomy > without + 0.05


def test_bad_input_is_refused():
    mask, truth = draw((40, 260), LAD)
    tree, belief = build_vessel_tree(mask), believe(truth)
    nothing = np.full_like(belief, np.nan)
    for probability, picture, error, message in (
        (
            belief[:25],
            mask,
            ValueError,
            r"expected class probabilities of shape \(26, 40, 260\), found \(25,",
        ),
        (belief[:, :30], mask, ValueError, r"found \(26, 30, 260\)"),
        (nothing, mask, ValueError, "from 0 to 1, found values from nan"),
        (belief * 3, mask, ValueError, "from 0 to 1"),
        (truth, mask, TypeError, "expected floating-point probabilities, found uint8"),
        (belief, mask.astype(np.uint8), TypeError, "expected the mask as a bool array, found uint8"),
    ):
        with pytest.raises(error, match=message):
            label_tree(tree, probability, picture)
        with pytest.raises(error, match=message):
            label_pixels(probability, picture)
    with pytest.raises(ValueError, match=r"expected the tree of the mask \(20, 260\), found one of a mask"):
        label_tree(tree, belief[:, :20], mask[:20])
    labelled = label_tree(tree, belief, mask)
    with pytest.raises(ValueError, match=r"expected a mask of shape \(40, 260\), found \(20, 260\)"):
        paint_segments(labelled, mask[:20])
    with pytest.raises(TypeError, match="bool"):
        paint_segments(labelled, truth)
    with pytest.raises(ValueError, match="doubt in"):
        LabellingWeights(doubt=0.0)
    with pytest.raises(ValueError, match="the others >= 0"):
        LabellingWeights(change_px=-1.0)
