"""The skeleton's graph on pixel patterns whose graph is known."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.morphology import skeletonize

from monai_lora_sam.coronary.polyline import Polyline
from monai_lora_sam.coronary.vessel_tree.skeleton import pixel_graph, skeleton_graph


def drawn(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def test_corner_of_a_staircase_is_no_bifurcation():
    graph = pixel_graph(drawn("##...", ".##..", "..##.", "...##"))
    assert sorted(degree for _, degree in graph.degree()) == [1, 1, 2, 2, 2, 2, 2, 2]


def test_diagonals_are_joined_where_nothing_else_joins_them():
    graph = pixel_graph(drawn("#..#", ".##.", "#..#"))
    assert graph.number_of_edges() == 5
    assert sorted(degree for _, degree in graph.degree()) == [1, 1, 1, 1, 3, 3]


def test_pixels_at_opposite_borders_are_not_joined():
    assert pixel_graph(drawn("#..#", "....", "#..#")).number_of_edges() == 0


def test_paths_run_from_their_origin_to_the_other_node():
    mask = np.zeros((21, 21), dtype=bool)
    mask[10, :] = mask[:10, 10] = True
    graph, loops = skeleton_graph(skeletonize(mask))
    assert loops == [] and graph.number_of_nodes() == 4 and graph.number_of_edges() == 3
    for start, end, data in graph.edges(data=True):
        other = end if data["origin"] == start else start
        assert data["path"][0] == pytest.approx(graph.nodes[data["origin"]]["position"])
        assert data["path"][-1] == pytest.approx(graph.nodes[other]["position"])
        assert np.linalg.norm(np.diff(data["path"], axis=0), axis=1).max() < 2
        assert Polyline(data["path"]).length == pytest.approx(10, abs=1)
