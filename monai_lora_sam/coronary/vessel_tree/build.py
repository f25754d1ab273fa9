"""Build a vessel tree from a mask."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
from scipy import ndimage
from skimage.morphology import remove_small_holes, skeletonize

from monai_lora_sam.coronary.vessel_tree.centreline import smooth_centreline
from monai_lora_sam.coronary.vessel_tree.prune import prune
from monai_lora_sam.coronary.vessel_tree.skeleton import skeleton_graph
from monai_lora_sam.coronary.vessel_tree.tree import Branch, Node, VesselTree

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)
# Limits of a mask that can show coronary arteries. Beyond them the work grows with the square of the branches, or with
# the picture's area times the width, to minutes.
WIDEST_PX = 250.0  # diameter; a left main of 7 mm at 0.03 mm per pixel
MOST_CENTRELINE_PX = (
    50_000  # of skeleton; 2 400 on phantoms of 512 × 512 pixels, 20 000 if drawn eight times larger
)
MOST_BRANCHES = 400  # 58 on the same phantoms


def build_vessel_tree(mask: np.ndarray, minimum_branch_length_px: float = 5.0) -> VesselTree:
    """Turn a vessel mask into branches, bifurcations and free ends.

    The mask is thinned to its skeleton (Zhang and Suen 1984, by scikit-image), the skeleton is read as a
    graph, spurs are pruned and the pixel paths are smoothed by a spline. A skeleton reaches from the middle
    of a vessel to every bump of its wall; therefore a branch with a free end is kept only if it stands out
    of the vessel it leaves, that is of the largest disc around its bifurcation, by
    `minimum_branch_length_px`. Free-standing pieces and loops must be that long, and holes smaller than a
    disc of that diameter are filled first. Pieces that are left out are listed with their reason in
    `VesselTree.pruned`. A centreline stops about one radius short of a vessel's free end, as the skeleton
    does.

    Args:
        mask: (H, W), bool.
        minimum_branch_length_px: shortest branch worth keeping, in pixels, >= 0.

    Returns:
        The tree; without any branch for an empty mask.

    Raises:
        TypeError: the mask is not a bool array.
        ValueError: the mask is not two-dimensional, or the length is negative or not a number; the mask is wider or
            more branched than coronary arteries, as noise is.

    Example:
        >>> mask = np.zeros((32, 64), dtype=bool)
        >>> mask[14:19, 4:60] = True
        >>> len(build_vessel_tree(mask).branches)
        1
    """
    _check(mask, minimum_branch_length_px)
    radius = ndimage.distance_transform_edt(mask)  # the picture's border is no wall
    graph, loops = skeleton_graph(_skeleton(without_small_holes(mask, minimum_branch_length_px)))
    for node in graph:
        graph.nodes[node]["radius"] = _radius_at(radius, graph.nodes[node]["position"])
    loops, pruned = prune(graph, loops, minimum_branch_length_px)
    count = graph.number_of_edges() + len(loops)
    if count > MOST_BRANCHES:
        raise ValueError(f"expected at most {MOST_BRANCHES} branches, found {count}, as of noise")
    for node in [node for node in graph if graph.degree(node) == 1]:
        graph.nodes[node]["radius"] = _radius_before_end(radius, graph, node)
    nodes = {
        name: Node(
            id=index,
            kind="bifurcation" if graph.degree(name) > 1 else "end",
            position_rc=(float(graph.nodes[name]["position"][0]), float(graph.nodes[name]["position"][1])),
            radius_px=graph.nodes[name]["radius"],
        )
        for index, name in enumerate(sorted(graph, key=lambda name: tuple(graph.nodes[name]["position"])))
    }
    pieces: list[tuple[np.ndarray, float, Node | None, Node | None]] = []
    for start, end, data in graph.edges(data=True):
        start, end = (start, end) if data["origin"] == start else (end, start)
        pieces.append((*smooth_centreline(data["path"]), nodes[start], nodes[end]))
    pieces += [(*smooth_centreline(loop, closed=True), None, None) for loop in loops]
    pieces.sort(key=lambda piece: (-piece[1], tuple(piece[0][0])))
    return VesselTree(
        shape=(mask.shape[0], mask.shape[1]),
        area_px=int(mask.sum()),
        components=int(ndimage.label(mask, EIGHT_NEIGHBOURS)[1]),
        nodes=tuple(nodes.values()),
        branches=tuple(
            Branch(id=index, centreline_rc=points, start=start, end=end, length_px=length)
            for index, (points, length, start, end) in enumerate(pieces)
        ),
        pruned=tuple(pruned),
    )


def _check(mask: np.ndarray, minimum_branch_length_px: float) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        found = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise TypeError(f"expected the mask as a bool array (probability >= 0.5), found {found}")
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"expected a mask of shape (height, width), found {mask.shape}")
    if not (np.isfinite(minimum_branch_length_px) and minimum_branch_length_px >= 0):
        raise ValueError(f"expected minimum_branch_length_px >= 0, found {minimum_branch_length_px}")


def _skeleton(mask: np.ndarray) -> np.ndarray:
    """Thin a mask (H, W), unless it is too wide or too full of lines."""
    width = 2 * min(float(ndimage.distance_transform_edt(mask).max()), min(mask.shape) / 2)
    if width > WIDEST_PX:
        raise ValueError(
            f"expected vessels of at most {WIDEST_PX:.0f} px across, found one of {width:.0f} px"
        )
    skeleton = skeletonize(mask)
    length = int(skeleton.sum())
    if length > MOST_CENTRELINE_PX:
        raise ValueError(
            f"expected centrelines of at most {MOST_CENTRELINE_PX} px in all, found {length} px, as of noise"
        )
    return skeleton


def without_small_holes(mask: np.ndarray, diameter: float) -> np.ndarray:
    """Fill the holes of a mask (H, W) that are smaller than a disc of a diameter in px."""
    margin = math.ceil(diameter) + 1  # a gap that is open to the picture's border is no hole
    padded = remove_small_holes(np.pad(mask, margin), max_size=math.pi / 4 * diameter**2)
    return padded[margin:-margin, margin:-margin]


def _radius_at(radius: np.ndarray, position: np.ndarray) -> float:
    row, column = np.rint(position).astype(int)
    return float(radius[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].max())


def _radius_before_end(radius: np.ndarray, graph: nx.MultiGraph, tip: int) -> float:
    (edge,) = graph.edges(tip, keys=True, data=True)
    rows, columns = np.rint(edge[3]["path"]).astype(int).T
    away = np.linalg.norm(edge[3]["path"] - graph.nodes[tip]["position"], axis=1)
    along = radius[rows, columns]
    return float(along[away <= 1.5 * along + 1.0].max())
