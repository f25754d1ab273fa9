"""Draw the family tree of the adapters in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from monai_lora_sam.adapters.saved import load_extra
from monai_lora_sam.adapters.store import tensors_fingerprint


@dataclass(frozen=True)
class Ancestor:
    """Name a parent of an adapter, or a stage that it reads, as its card does.

    Attributes:
        name: that it had on the stack.
        fingerprint: of its adapter; None if it had none (``frozen``).
        head: fingerprint of its head, where the adapter reads that, too.
    """

    name: str
    fingerprint: str | None = None
    head: str | None = None


@dataclass(eq=False)
class Branch:
    """One adapter folder, and those that were trained on top of it.

    Attributes:
        card: as :func:`monai_lora_sam.adapters.list_adapters` gives it.
        children: sorted by folder.
        missing: its ancestors that are not among the cards.
    """

    card: dict[str, Any]
    children: list[Branch] = field(default_factory=list)
    missing: list[Ancestor] = field(default_factory=list)


def family_tree(cards: Sequence[dict[str, Any]]) -> list[Branch]:
    """Make each adapter a child of its parent, found by fingerprint, so that versions are told apart.

    An adapter with several parents becomes a child of the last, and of the nearest folder where copies of that parent
    lie in several. A stage that reads the heads of others (``reads`` in its card) becomes a child of the stage with
    that very head.

    Args:
        cards: from :func:`monai_lora_sam.adapters.list_adapters`; those with an ``error`` are left out.

    Returns:
        The adapters without a parent among the cards, in the order given.

    Example:
        >>> [root.card["name"] for root in family_tree(list_adapters("models"))]  # doctest: +SKIP
        ['liver']
    """
    branches = [Branch(card) for card in cards if "error" not in card]
    parent_of: dict[Branch, Branch] = {}
    head_of = cache(_head_fingerprint)
    for branch in branches:
        parent = None
        for ancestor in _ancestors(branch.card):
            same = [other for other in branches if other is not branch and _is(other.card, ancestor, head_of)]
            if same:
                parent = max(
                    same, key=lambda other: _common_parts(other.card["folder"], branch.card["folder"])
                )
            else:
                branch.missing.append(ancestor)
        if parent is not None and branch not in _line(parent, parent_of):
            parent_of[branch] = parent
            parent.children.append(branch)
    return [branch for branch in branches if branch not in parent_of]


def _ancestors(card: Mapping[str, Any]) -> list[Ancestor]:
    """Return the parents in a card, the last one on top."""
    fingerprints = {parent["name"]: parent["fingerprint"] for parent in card["parents"]}
    reads = card.get("reads")
    heads = {
        str(stage.get("name")): stage.get("head")
        for stage in (reads.values() if isinstance(reads, dict) else ())
        if isinstance(stage, dict)
    }
    names = [*(name for name in fingerprints if name not in heads), *heads]
    return [Ancestor(name, fingerprints.get(name), heads.get(name)) for name in names]


def _is(card: Mapping[str, Any], ancestor: Ancestor, head_of: Callable[[str], str | None]) -> bool:
    # A frozen stage has the fingerprint of nothing, and is known by its head alone.
    found = card["fingerprint"] if card["strategy"] != "frozen" else None
    if ancestor.fingerprint is not None and found != ancestor.fingerprint:
        return False
    return ancestor.head is None or head_of(card["folder"]) == ancestor.head


def _head_fingerprint(folder: str) -> str | None:
    try:
        return tensors_fingerprint(load_extra(folder, "head"))
    except (OSError, ValueError, KeyError):  # a folder without a head, which is none that could be read
        return None


def _common_parts(first: str, second: str) -> int:
    return len(os.path.commonpath([os.path.abspath(first), os.path.abspath(second)]).split(os.sep))


def _line(branch: Branch, parent_of: Mapping[Branch, Branch]) -> list[Branch]:
    """Return a branch and its ancestors, up to the root."""
    line = [branch]
    while line[-1] in parent_of:
        line.append(parent_of[line[-1]])
    return line
