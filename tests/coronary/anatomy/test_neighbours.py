"""Neighbours of the SYNTAX segments against the trees of phantoms and ARCADE's label images."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw

from monai_lora_sam.coronary.anatomy import (
    Dominance,
    Side,
    SyntaxSegment,
    adjoins,
    exists_in,
    parents_of,
    side_of,
    syntax_from_arcade_id,
)
from monai_lora_sam.coronary.phantom.growth import grow_tree

S = SyntaxSegment


TOUCHING = (
    "1-2 2-3 3-4 3-16 16-16c 5-6 5-11 5-12 6-7 7-8 6-9 7-9 8-10 11-12a 11-13 13-14b 13-15 6-11 4-16 12a-14"
)
APART = "6-8 1-3 5-7 5-13 9-10 6-13 2-4 3-5 12-9 4-15 6-6"


@pytest.mark.parametrize(
    ("pair", "expected"), [(p, True) for p in TOUCHING.split()] + [(p, False) for p in APART.split()]
)
def test_neighbours_of_the_syntax_score(pair, expected):
    one, other = (S(name) for name in pair.split("-"))
    assert adjoins(one, other) is expected
    assert adjoins(other, one) is expected


def test_the_segments_of_an_artery_hang_together_and_touch_no_other():
    for side in Side:
        own = {segment for segment in S if side_of(segment) is side}
        (root,) = (segment for segment in own if not parents_of(segment))
        reached, border = set(), {root}
        while border:
            reached |= border
            border = {other for other in S for one in border if adjoins(one, other)} - reached
        assert reached == own
    assert {s.value for s in S if side_of(s) is Side.RIGHT} == {"1", "2", "3", "4", "16", "16a", "16b", "16c"}


@pytest.mark.parametrize("dominance", list(Dominance))
def test_under_a_dominance_only_segments_that_exist_have_parents_and_neighbours(dominance):
    for segment in S:
        if not exists_in(segment, dominance):
            assert not any(adjoins(segment, other, dominance) for other in S)
            with pytest.raises(ValueError, match=f"{segment.value} does not exist in {dominance.value}"):
                parents_of(segment, dominance)
        else:
            assert all(exists_in(parent, dominance) for parent in parents_of(segment, dominance.value))
            # But for the two that leave the aorta, there is always something to leave from.
            assert bool(parents_of(segment, dominance)) is (segment not in (S.LEFT_MAIN, S.RCA_PROXIMAL))


def test_bare_numbers_are_refused():
    for call in (side_of, parents_of, lambda value: adjoins(value, S.LEFT_MAIN)):
        with pytest.raises(TypeError, match="expected a SyntaxSegment, found 5"):
            call(5)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dominance", list(Dominance))
def test_whatever_joins_in_a_phantom_adjoins(side, dominance):
    for seed in range(6):
        tree = grow_tree(np.random.default_rng(seed), side, dominance)
        for branch in tree.branches:
            names = [name for name, _, _ in branch.segments]
            joins = list(pairwise(names))
            if branch.parent is not None:
                stem, sample = branch.parent
                joins += [
                    (n, names[0]) for n, start, stop in tree.branches[stem].segments if start <= sample < stop
                ]
            for one, other in joins:
                if one is not None and other is not None:
                    assert side_of(one).value == side
                    assert adjoins(one, other, dominance), (one, other)


def test_segments_that_touch_in_arcade_adjoin_but_for_crossings(shared_data):
    path = shared_data / "arcade" / "syntax" / "val" / "annotations" / "val.json"
    pictures: dict[int, Image.Image] = {}
    for annotation in json.loads(path.read_text())["annotations"]:
        picture = pictures.setdefault(annotation["image_id"], Image.new("L", (512, 512)))
        for polygon in annotation["segmentation"]:
            ImageDraw.Draw(picture).polygon(polygon, fill=annotation["category_id"])
    touching: Counter[tuple[int, int]] = Counter()
    for picture in pictures.values():
        touching.update(_touching(np.asarray(picture)))
    adjoining = sum(
        count for pair, count in touching.items() if adjoins(*(syntax_from_arcade_id(one) for one in pair))
    )
    assert sum(touching.values()) > 300
    assert adjoining / sum(touching.values()) > 0.95


def _touching(label: np.ndarray) -> set[tuple[int, int]]:
    """Return the pairs of ids whose pixels touch, diagonally too."""
    found: set[tuple[int, int]] = set()
    for one, other in (
        (label[:, :-1], label[:, 1:]),
        (label[:-1], label[1:]),
        (label[:-1, :-1], label[1:, 1:]),
        (label[:-1, 1:], label[1:, :-1]),
    ):
        border = (one != other) & (one > 0) & (other > 0)
        found |= {
            tuple(sorted(pair)) for pair in zip(one[border].tolist(), other[border].tolist(), strict=True)
        }
    return found
