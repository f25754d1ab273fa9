"""The family tree of adapters, also where versions, copies and frozen stages lie side by side."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch

from monai_lora_sam.adapters import Ancestor, Branch, family_tree, list_adapters
from monai_lora_sam.adapters.store import tensors_fingerprint


def card(name: str, fingerprint: str, parents: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Return what of a card counts here."""
    return {
        "name": name,
        "fingerprint": fingerprint,
        "strategy": "lora",
        "folder": f"models/{name}",
        "parents": [{"name": key, "fingerprint": value} for key, value in (parents or {}).items()],
    } | more


def shape(branches: list[Branch]) -> dict[str, Any]:
    """Return a tree as nested dicts of folders."""
    return {
        branch.card["folder"].removeprefix("models/"): shape(branch.children)
        for branch in sorted(branches, key=lambda one: one.card["folder"])
    }


def test_a_child_hangs_below_the_version_it_was_trained_on():
    cards = [
        card("vessels", "a"),
        card("segments", "b1", {"vessels": "a"}, folder="models/segments_v1"),
        card("segments", "b2", {"vessels": "a"}, folder="models/segments_v2"),
        card("stenosis", "c", {"vessels": "a", "segments": "b2"}),
    ]
    expected = {"vessels": {"segments_v1": {}, "segments_v2": {"stenosis": {}}}}
    for order in (cards, cards[::-1]):
        assert shape(family_tree(order)) == expected


def test_a_missing_parent_is_said_and_the_next_one_below_taken():
    cards = [card("vessels", "a"), card("stenosis", "c", {"vessels": "a", "segments": "b"}), card("ct", "x")]
    roots = family_tree([*cards, {"folder": "models/segments", "error": "truncated"}])
    assert shape(roots) == {"vessels": {"stenosis": {}}, "ct": {}}
    (stenosis,) = roots[0].children
    assert stenosis.missing == [Ancestor("segments", "b")] and roots[0].missing == []
    (alone,) = family_tree(cards[1:2])
    assert [ancestor.name for ancestor in alone.missing] == ["vessels", "segments"]


def test_of_copies_the_nearest_is_taken():
    cards = [card("vessels", "a", folder=f"models/{place}/vessels") for place in ("one", "two")]
    cards.append(card("segments", "b", {"vessels": "a"}, folder="models/two/segments"))
    assert shape(family_tree(cards)) == {"one/vessels": {}, "two/vessels": {"two/segments": {}}}


def test_cards_that_name_each_other_or_themselves_do_not_hang_it():
    cards = [card("a", "1", {"b": "2"}), card("b", "2", {"a": "1"}), card("c", "3", {"c": "3"})]
    roots = family_tree(cards)
    assert shape(roots) == {"b": {"a": {}}, "c": {}}
    assert roots[-1].missing == [Ancestor("c", "3")]


def test_frozen_stages_are_told_apart_by_their_heads(random_segmenter, tmp_path):
    """A frozen stage has no adapter, and so the fingerprint of nothing, and is nobody's parent."""
    heads = {}
    for seed in (1, 2):
        network = random_segmenter("frozen", seed=seed)
        heads[seed] = {key: tensor + seed for key, tensor in network.head.state_dict().items()}
        network.stack.save("vessels", tmp_path / f"vessels_{seed}", extra={"head": heads[seed]})
    reads = {"vessels": {"name": "vessels", "head": tensors_fingerprint(heads[2])}}
    cards = [*list_adapters(tmp_path), card("stenosis", "c", reads=reads, folder=str(tmp_path / "stenosis"))]
    roots = family_tree(cards)
    assert [len(root.children) for root in roots] == [0, 1]
    assert not roots[1].children[0].missing
    shutil.rmtree(tmp_path / "vessels_2")
    (stenosis,) = (root for root in family_tree([*list_adapters(tmp_path), cards[-1]]) if root.missing)
    assert stenosis.missing == [Ancestor("vessels", None, tensors_fingerprint(heads[2]))]


@pytest.mark.parametrize("damage", ["missing", "not finite"])
def test_a_head_that_cannot_be_read_matches_nothing(random_segmenter, tmp_path, damage):
    network = random_segmenter("frozen")
    head = network.head.state_dict()
    network.stack.save("vessels", tmp_path / "vessels", extra={"head": head})
    (found,) = list_adapters(tmp_path)
    path = tmp_path / "vessels" / "head.safetensors"
    if damage == "missing":
        path.unlink()
    else:
        from safetensors.torch import save_file

        save_file({key: torch.full_like(tensor, torch.nan) for key, tensor in head.items()}, path)
    reads = {"vessels": {"name": "vessels", "head": tensors_fingerprint(head)}}
    assert len(family_tree([found, card("stenosis", "c", reads=reads)])) == 2
