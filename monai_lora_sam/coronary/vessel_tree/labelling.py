"""Name the pieces of a vessel tree so that the coronary anatomy holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_lora_sam.coronary.anatomy import (
    ARCADE_CLASS_NAMES,
    Dominance,
    Side,
    SyntaxSegment,
    adjoins,
    exists_in,
    in_order,
    side_of,
    syntax_from_arcade_id,
)
from monai_lora_sam.coronary.vessel_tree.connected_labels import Assignment, ConnectedLabels
from monai_lora_sam.coronary.vessel_tree.pieces import Pieces, cut_into_pieces, forest_of, nearest_pieces
from monai_lora_sam.coronary.vessel_tree.pixels import check_probabilities
from monai_lora_sam.coronary.vessel_tree.tree import VesselTree

CLASSES = len(ARCADE_CLASS_NAMES)


@dataclass(frozen=True)
class LabellingWeights:
    """Weigh the evidence against the anatomy.

    Attributes:
        change_px: cost of a change of label, in pixels of vessel whose evidence is one nat against it.
        doubt: chance that the probabilities of a piece are about something else; bounds its evidence.
        piece_px: length of the pieces.
        gap_px: largest gap in the mask over which a segment may go on.
    """

    change_px: float = 10.0
    doubt: float = 0.1
    piece_px: float = 8.0
    gap_px: float = 40.0

    def __post_init__(self) -> None:
        lengths = (self.change_px, self.gap_px)
        if not (all(length >= 0 for length in lengths) and 0 < self.doubt <= 1 and self.piece_px > 0):
            raise ValueError(f"expected doubt in (0, 1], piece_px > 0 and the others >= 0, found {self}")


@dataclass(frozen=True, eq=False)
class LabelledPiece:
    """Hold a piece of a branch and its name.

    Attributes:
        branch_id: the branch in the tree.
        points_rc: (N, 2) its part of the centreline.
        length_px: its length.
        arcade_id: ARCADE category id, 0 = a vessel without a name.
        segment: the same as a SYNTAX segment, None for 0.
        confidence: mean probability of this label over the piece's pixels, 0 to 1.
    """

    branch_id: int
    points_rc: np.ndarray
    length_px: float
    arcade_id: int
    segment: SyntaxSegment | None
    confidence: float


@dataclass(frozen=True, eq=False)
class LabelledTree:
    """Hold the named pieces of a vessel tree.

    Attributes:
        tree: the vessel tree.
        pieces: in the order of the branches and along each of them.
        side: the coronary artery, None for an empty tree.
        is_optimal: whether the labels are proven to be the best (False only after the solver's time limit).
    """

    tree: VesselTree
    pieces: tuple[LabelledPiece, ...]
    side: Side | None
    is_optimal: bool

    @property
    def segments(self) -> tuple[SyntaxSegment, ...]:
        """Return the segments that are present, in their order."""
        return tuple(in_order(piece.segment for piece in self.pieces if piece.segment is not None))


def label_tree(
    tree: VesselTree,
    class_probability: np.ndarray,
    mask: np.ndarray,
    dominance: Dominance | str | None = None,
    weights: LabellingWeights | None = None,
) -> LabelledTree:
    """Choose the most probable names of a vessel tree's pieces under which the coronary anatomy holds.

    These conditions hold: all segments belong to the left coronary artery or all to the right one; pieces that
    follow one another have the same segment, one that adjoins it in the body (`adjoins`), or one of them is a vessel
    without a name; each segment, the left main among them, is one connected run, over crossings and gaps at
    most. Loops are crossings, since coronary arteries form none. Among the names that satisfy this, the sum of
    log probabilities along the centreline minus a price per change of name is the largest, exactly: see
    `connected_labels`.

    Args:
        tree: the vessel tree of the mask.
        class_probability: (26, H, W) of ARCADE's categories, 0 = no segment; 0 to 1.
        mask: (H, W) bool, the vessels.
        dominance: leaves out the segments that do not exist under it; None: unknown.
        weights: the few numbers that were measured on phantoms.

    Raises:
        TypeError: the mask is not a bool array, or the probabilities are not floating point.
        ValueError: shapes that do not fit each other, or values outside 0 to 1, NaN included.

    Example:
        >>> labelled = label_tree(build_vessel_tree(mask), probability, mask)  # doctest: +SKIP
        >>> paint_segments(labelled, mask)  # doctest: +SKIP
    """
    check_probabilities(class_probability, mask)
    if tree.shape != mask.shape:
        raise ValueError(f"expected the tree of the mask {mask.shape}, found one of a mask {tree.shape}")
    weights = weights or LabellingWeights()
    pieces = cut_into_pieces(tree, weights.piece_px, weights.gap_px)
    if not pieces.points_rc:
        return LabelledTree(tree, (), None, True)
    probability, evidence = _read(class_probability, mask, pieces, weights.doubt)
    edges, is_link = forest_of(pieces, probability)
    category_ids = {side: _category_ids(side, dominance) for side in Side}
    labels_of = {
        side: ConnectedLabels(
            _cost(pieces, evidence[:, ids]), edges, is_link, _allowed(ids), weights.change_px
        )
        for side, ids in category_ids.items()
    }
    side, best = _cheapest(labels_of)
    return LabelledTree(
        tree,
        tuple(
            _named(pieces, index, category_ids[side][label], probability)
            for index, label in enumerate(best.labels[: len(evidence)])
        ),
        side,
        best.is_optimal,
    )


def _cost(pieces: Pieces, evidence: np.ndarray) -> np.ndarray:
    """Return (P + joints, K) the cost of each label at each node; a joint has no length and costs nothing."""
    cost = -pieces.lengths_px[:, None] * evidence
    return np.concatenate([cost, np.zeros((pieces.joints, evidence.shape[1]))])


def _cheapest(labels_of: dict[Side, ConnectedLabels]) -> tuple[Side, Assignment]:
    """Return the coronary artery whose labels cost least, and these labels.

    The artery with the smaller lower bound is solved first; the other one only as far as it can undercut it.
    """
    first, second = sorted(labels_of, key=lambda side: labels_of[side].lower_bound())
    best = labels_of[first].solve()
    undercut = labels_of[second].solve_below(best.cost)
    return (first, best) if undercut is None else (second, undercut)


def _read(
    class_probability: np.ndarray, mask: np.ndarray, pieces: Pieces, doubt: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (P, 26) the mean probability and the mean log probability over the pixels of each piece."""
    count = len(pieces.points_rc)
    owner = nearest_pieces(pieces.points_rc, mask)
    pixels = np.clip(class_probability[:, owner >= 0], 0.0, 1.0).T
    owner = owner[owner >= 0]
    doubted = np.log((1.0 - doubt) * pixels + doubt / CLASSES)
    size = np.bincount(owner, minlength=count)
    total = np.zeros((2, count, CLASSES))
    np.add.at(total[0], owner, pixels)
    np.add.at(total[1], owner, doubted)
    probability, evidence = total / np.maximum(size, 1)[None, :, None]
    return probability, evidence


def _category_ids(side: Side, dominance: Dominance | str | None) -> list[int]:
    """Return 0 and the ARCADE ids of a coronary artery's segments."""
    segments = {number: syntax_from_arcade_id(number) for number in range(1, CLASSES)}
    return [0] + [
        number
        for number, segment in segments.items()
        if side_of(segment) is side and (dominance is None or exists_in(segment, Dominance(dominance)))
    ]


def _allowed(numbers: list[int]) -> np.ndarray:
    """Return (K, K) bool, whether vessels of two ARCADE ids may follow one another; 0 follows all."""
    allowed = np.ones((len(numbers), len(numbers)), dtype=bool)
    segments = [syntax_from_arcade_id(number) for number in numbers[1:]]
    for row, first in enumerate(segments, start=1):
        allowed[row, 1:] = [first is second or adjoins(first, second) for second in segments]
    return allowed


def _named(pieces: Pieces, index: int, number: int, probability: np.ndarray) -> LabelledPiece:
    return LabelledPiece(
        int(pieces.branch_ids[index]),
        pieces.points_rc[index],
        float(pieces.lengths_px[index]),
        number,
        syntax_from_arcade_id(number) if number else None,
        float(probability[index, number]),
    )
