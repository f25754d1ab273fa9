"""The tree of drawn shapes whose branches, nodes and lengths are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk, line

from monai_lora_sam.coronary.vessel_tree import build_vessel_tree


def stroke(shape: tuple[int, int], pieces: list[tuple[int, int, int, int]], radius: float) -> np.ndarray:
    """Draw thick lines with round ends, each from (row, column) to (row, column)."""
    drawn = np.zeros(shape, dtype=bool)
    for piece in pieces:
        drawn[line(*piece)] = True
    return ndimage.distance_transform_edt(~drawn) <= radius


def ring(shape: tuple[int, int], centre: tuple[int, int], inner: float, outer: float) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[disk(centre, outer, shape=shape)] = True
    mask[disk(centre, inner, shape=shape)] = False
    return mask


def kinds(tree) -> list[str]:
    return sorted(node.kind for node in tree.nodes)


@pytest.mark.parametrize("angle", [0, 17, 30, 45, 73, 90])
def test_straight_vessel_has_one_branch_of_the_drawn_length(angle):
    radians, half = math.radians(angle), 60
    step = np.rint([half * math.sin(radians), half * math.cos(radians)]).astype(int)
    start, end = 80 - step, 80 + step
    tree = build_vessel_tree(stroke((160, 160), [(*start, *end)], 4))
    (branch,) = tree.branches
    assert kinds(tree) == ["end", "end"]
    # A skeleton ends somewhere within the round end, which has a radius of 4.
    assert branch.length_px == pytest.approx(2 * np.linalg.norm(step), abs=5)
    # Distance of every centreline point from the drawn axis; digitising alone moves it by up to 0.5.
    across = np.array([math.cos(math.atan2(*step)), -math.sin(math.atan2(*step))])
    inner = branch.centreline_rc[12:-12]
    assert np.abs((inner - 80) @ across).max() < 0.8


def test_centreline_is_equally_spaced_by_half_a_pixel_and_smooth():
    tree = build_vessel_tree(stroke((160, 160), [(20, 15, 90, 140)], 4))
    points = tree.branches[0].centreline_rc
    steps = np.diff(points, axis=0)
    spacing = np.linalg.norm(steps, axis=1)
    assert spacing == pytest.approx(0.5, abs=0.01)
    turn = np.degrees(np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 0], steps[:, 1])))))
    assert turn[10:-10].max() < 3  # the staircase itself turns by 45


def test_bifurcation_joins_three_branches_where_they_were_drawn():
    tree = build_vessel_tree(
        stroke((200, 200), [(20, 100, 100, 100), (100, 100, 170, 40), (100, 100, 170, 160)], 5)
    )
    assert kinds(tree) == ["bifurcation", "end", "end", "end"]
    (fork,) = [node for node in tree.nodes if node.kind == "bifurcation"]
    assert math.dist(fork.position_rc, (100, 100)) < 5
    assert fork.radius_px >= 5
    assert sum(fork in (branch.start, branch.end) for branch in tree.branches) == 3
    assert sorted(branch.length_px for branch in tree.branches) == pytest.approx([80, 92, 92], abs=8)
    for branch in tree.branches:  # branches meet in their node
        at_fork = branch.centreline_rc[0 if branch.start is fork else -1]
        assert math.dist(at_fork, fork.position_rc) < 0.5


def test_crossing_vessels_give_one_node_of_four_branches_or_two_of_three():
    tree = build_vessel_tree(stroke((160, 160), [(20, 20, 140, 140), (20, 140, 140, 20)], 4))
    assert sum(node.kind == "end" for node in tree.nodes) == 4
    assert tree.centreline_length_px == pytest.approx(4 * 60 * math.sqrt(2), rel=0.05)


def test_bump_in_the_wall_is_pruned_with_its_reason_and_leaves_the_branch_whole():
    mask = stroke((120, 200), [(60, 20, 60, 180)], 6)
    mask |= stroke((120, 200), [(60, 100, 50, 100)], 1)  # stands 5 px out of the wall
    tree = build_vessel_tree(mask, minimum_branch_length_px=8)
    assert len(tree.branches) == 1
    assert tree.branches[0].length_px == pytest.approx(160, abs=9)
    assert [cut.reason for cut in tree.pruned] == [
        "spur standing less than 8 px out of a vessel of radius 7.0 px"
    ]
    longer = mask | stroke((120, 200), [(60, 100, 30, 100)], 1)
    assert len(build_vessel_tree(longer, minimum_branch_length_px=8).branches) == 3


def test_blunt_ends_do_not_fork_into_their_corners():
    forks = 0
    rows, columns = np.mgrid[:200, :200] - 99.5
    for angle in np.radians(range(0, 90, 5)):
        along = rows * np.sin(angle) + columns * np.cos(angle)
        across = rows * np.cos(angle) - columns * np.sin(angle)
        tree = build_vessel_tree((np.abs(along) < 70) & (np.abs(across) < 10))
        (branch,) = tree.branches
        inner = branch.centreline_rc[30:-30] - 99.5  # 15 px: a skeleton may turn to one corner of an end
        assert np.abs(inner @ [np.cos(angle), -np.sin(angle)]).max() < 1.2
        forks += len(tree.pruned)
    assert forks >= 4


def test_ring_is_a_closed_branch_without_nodes():
    tree = build_vessel_tree(ring((120, 120), (60, 60), 30, 38))
    (branch,) = tree.branches
    assert tree.nodes == () and branch.is_closed and branch.start is None and branch.end is None
    assert branch.length_px == pytest.approx(2 * math.pi * 34, rel=0.02)
    assert branch.centreline_rc[0] == pytest.approx(branch.centreline_rc[-1], abs=1e-6)


def test_ring_that_loses_its_only_side_branch_is_closed():
    mask = ring((120, 120), (60, 60), 30, 38)
    mask[59:62, 98:102] = True
    tree = build_vessel_tree(mask)
    assert [branch.is_closed for branch in tree.branches] == [True]


def test_ring_on_a_stem_keeps_its_node():
    mask = ring((140, 220), (70, 60), 30, 38)
    mask[67:74, 95:200] = True
    tree = build_vessel_tree(mask)
    loop = [branch for branch in tree.branches if branch.start is branch.end]
    assert len(tree.branches) == 2 and len(loop) == 1 and not loop[0].is_closed
    assert kinds(tree) == ["bifurcation", "end"]


def test_small_hole_is_filled_and_a_large_one_is_a_way_around():
    mask = stroke((100, 200), [(50, 20, 50, 180)], 8)
    mask[50, 100] = False
    assert len(build_vessel_tree(mask).branches) == 1
    mask[46:55, 90:110] = False
    assert len(build_vessel_tree(mask).branches) == 4


def test_islands_are_counted_and_crumbs_left_out_with_a_reason():
    mask = stroke((120, 120), [(20, 10, 20, 110), (80, 10, 80, 60)], 3)
    mask[100:103, 100:103] = True
    tree = build_vessel_tree(mask)
    assert tree.components == 3
    assert len(tree.branches) == 2
    assert tree.branches[0].length_px > tree.branches[1].length_px
    assert [cut.reason for cut in tree.pruned] == ["free-standing and shorter than 5 px"]
    assert tree.area_px == mask.sum()


def test_vessel_through_the_whole_picture():
    mask = np.zeros((60, 60), dtype=bool)
    mask[:, 28:33] = True
    tree = build_vessel_tree(mask)
    assert tree.branches[0].length_px == pytest.approx(60, abs=6)
    assert len(tree.branches) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (40, 40)])
@pytest.mark.parametrize("filled", [False, True])
def test_empty_and_full_masks(size, filled):
    tree = build_vessel_tree(np.full(size, filled))
    assert tree.area_px == (np.prod(size) if filled else 0)
    assert all(np.isfinite(branch.centreline_rc).all() for branch in tree.branches)
    if not filled:
        assert (tree.branches, tree.nodes, tree.pruned, tree.components) == ((), (), (), 0)


def test_one_pixel_is_a_crumb():
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 4] = True
    tree = build_vessel_tree(mask)
    assert tree.branches == () and len(tree.pruned) == 1


def test_noise_does_not_break_it():
    mask = np.random.default_rng(0).random((96, 96)) > 0.6
    tree = build_vessel_tree(mask)
    for branch in tree.branches:
        assert np.isfinite(branch.centreline_rc).all()
        assert branch.is_closed or branch.start in tree.nodes


def test_real_outlines_give_a_centreline_within_the_vessels(shared_data):
    import json

    from PIL import Image, ImageDraw

    folder = shared_data / "arcade" / "syntax" / "val"
    annotations = json.loads(next((folder / "annotations").glob("*.json")).read_text())
    for record in annotations["images"][:5]:
        drawing = Image.new("L", (record["width"], record["height"]))
        for annotation in annotations["annotations"]:
            if annotation["image_id"] == record["id"]:
                ImageDraw.Draw(drawing).polygon(annotation["segmentation"][0], fill=1)
        mask = np.array(drawing, dtype=bool)
        tree = build_vessel_tree(mask)
        outside = ndimage.distance_transform_edt(~mask)
        for branch in tree.branches:
            assert ndimage.map_coordinates(outside, branch.centreline_rc.T, order=1).max() < 1.0
        # Area over length is a width: coronary arteries in these pictures are 2 to 30 pixels wide.
        assert 2 < tree.area_px / tree.centreline_length_px < 30


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.zeros((4, 4)), TypeError, "expected the mask as a bool array .* found float64"),
        (np.full((4, 4), np.nan), TypeError, "found float64"),
        ([[True]], TypeError, "found list"),
        (np.zeros((1, 4, 4), dtype=bool), ValueError, r"shape \(height, width\), found \(1, 4, 4\)"),
        (np.zeros((0, 4), dtype=bool), ValueError, r"found \(0, 4\)"),
    ],
)
def test_wrong_masks_are_refused(mask, error, message):
    with pytest.raises(error, match=message):
        build_vessel_tree(mask)


@pytest.mark.parametrize("length", [-1.0, math.nan, math.inf])
def test_wrong_minimum_length_is_refused(length):
    with pytest.raises(ValueError, match="expected minimum_branch_length_px >= 0, found"):
        build_vessel_tree(np.zeros((4, 4), dtype=bool), length)


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (np.random.default_rng(0).random((512, 512)) < 0.3, "centrelines of at most 50000 px"),
        (np.random.default_rng(0).random((256, 256)) < 0.3, "at most 400 branches"),
        (np.ones((300, 400), dtype=bool), "vessels of at most 250 px across, found one of 300 px"),
        (np.indices((600, 600)).sum(axis=0) % 2 == 0, "vessels of at most 250 px across, found one of 59"),
        (np.indices((600, 600))[0] % 4 == 0, "centrelines of at most 50000 px"),
    ],
)
def test_a_mask_that_no_artery_can_have_drawn_is_refused_before_the_work(mask, found):
    with pytest.raises(ValueError, match=found):
        build_vessel_tree(mask)


def test_a_vessel_among_specks_is_kept():
    mask = stroke((200, 200), [(100, 20, 100, 180)], 4)
    specks = mask | (np.random.default_rng(0).random(mask.shape) < 0.01)
    assert len(build_vessel_tree(specks).branches) == 1
