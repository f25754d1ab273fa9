"""Pieces of drawn vessels and the pairs among them."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import line

from monai_lora_sam.coronary.vessel_tree import build_vessel_tree
from monai_lora_sam.coronary.vessel_tree.pieces import cut_into_pieces, forest_of, nearest_pieces


def stroke(shape, strokes, radius=2.0):
    drawn = np.zeros(shape, dtype=bool)
    for ends in strokes:
        drawn[line(*ends)] = True
    return ndimage.distance_transform_edt(~drawn) <= radius


def cut(mask, piece_px=10.0, gap_px=40.0):
    tree = build_vessel_tree(mask)
    return tree, cut_into_pieces(tree, piece_px, gap_px)


def even(pieces):
    return np.full((len(pieces.points_rc), 26), 1 / 26)


def test_pieces_have_the_length_asked_for_and_make_up_the_branches():
    tree, pieces = cut(stroke((80, 200), [(40, 10, 40, 190), (40, 100, 75, 100)]))
    assert len(tree.branches) == 3
    assert pieces.joints == 1
    assert np.all(np.abs(pieces.lengths_px - 10) < 2.5)
    for branch in tree.branches:
        own = np.flatnonzero(pieces.branch_ids == branch.id)
        np.testing.assert_array_equal(
            np.concatenate([pieces.points_rc[piece] for piece in own]), branch.centreline_rc
        )
        assert pieces.lengths_px[own].sum() == pytest.approx(branch.length_px)
    pairs, is_link = forest_of(pieces, even(pieces))
    assert len(pairs) == len(pieces.points_rc) + pieces.joints - 1  # a tree: nothing is lost
    assert not is_link.any()


def test_a_crossing_has_two_joints_and_a_fork_has_one():
    _, crossing = cut(stroke((160, 160), [(10, 80, 150, 80), (80, 10, 80, 150)], 0.0))
    assert crossing.joints == 2
    assert len(crossing.links) == 1
    ends = {}
    for joint, piece in crossing.joined[crossing.joined[:, 0] >= len(crossing.points_rc)]:
        ends.setdefault(joint, []).append(crossing.points_rc[piece].mean(axis=0))
    for one, other in ends.values():  # the middle of the two that go on into each other
        np.testing.assert_allclose((one + other) / 2, (80, 80), atol=1.5)
    _, fork = cut(stroke((160, 160), [(10, 80, 80, 80), (80, 80, 150, 30), (80, 80, 150, 130)]))
    assert (fork.joints, len(fork.links)) == (1, 0)


def test_a_loop_is_opened_where_the_evidence_differs_most():
    _, pieces = cut(
        stroke((120, 160), [(60, 10, 60, 50), (60, 50, 20, 90), (20, 90, 60, 150), (60, 50, 60, 150)])
    )
    evidence = np.full((len(pieces.points_rc), 26), 0.01)
    upper = np.array([points[:, 0].mean() < 55 for points in pieces.points_rc])
    evidence[upper, 3], evidence[~upper, 7] = 0.75, 0.75
    pairs, _ = forest_of(pieces, evidence)
    assert len(pieces.joined) == len(pieces.points_rc) + pieces.joints
    graph = nx.Graph(pairs.tolist())
    assert nx.is_tree(graph)
    left_out = {tuple(pair) for pair in pieces.joined.tolist()} - {tuple(pair) for pair in pairs.tolist()}
    ((one, other),) = left_out
    known = [upper[node] for node in (one, other) if node < len(upper)]
    assert True in known


@pytest.mark.parametrize(("gap_px", "links"), [(30.0, 2), (10.0, 0)])
def test_parts_are_linked_over_a_gap(gap_px, links):
    _, pieces = cut(stroke((40, 200), [(20, 10, 20, 90), (20, 112, 20, 190)]), gap_px=gap_px)
    assert len(pieces.links) == links  # from either end
    pairs, is_link = forest_of(pieces, even(pieces))
    assert is_link.sum() == min(links, 1)
    assert nx.number_connected_components(nx.Graph(pairs.tolist())) == (1 if links else 2)


def test_each_pixel_belongs_to_the_nearest_piece_of_its_part():
    mask = stroke((40, 200), [(20, 10, 20, 190)], 3.0)
    mask[35, 100] = True  # a crumb that has no centreline
    _, pieces = cut(mask)
    nearest = nearest_pieces(pieces.points_rc, mask)
    assert (nearest[~mask] == -1).all()
    assert nearest[35, 100] == -1
    middles = np.array([points.mean(axis=0) for points in pieces.points_rc])
    for row, column in np.argwhere(mask & (nearest >= 0))[::37]:
        away = np.abs(middles[:, 1] - column)
        assert away[nearest[row, column]] <= away.min() + 0.6
    assert (nearest_pieces([], mask) == -1).all()
