"""Check the card of an adapter, entry by entry."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CARD = "card.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
MOVED_WEIGHTS = "encoder_delta.safetensors"

#: Version of the card's form. In cards of form 1, which do not name it, the fingerprint of the base covers its weights
#: alone; since 2 it covers the architecture too.
FORMAT = 2

STRATEGIES = ("lora", "frozen", "last_n", "full")

#: Entries of the card that the stack writes; a caller's card cannot overrule them.
RESERVED_KEYS = (
    "format",
    "name",
    "created",
    "encoder",
    "parents",
    "strategy",
    "fingerprint",
    "packages",
    "files",
    "digest",
    "modules",
)

_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "version": (str, int),
    "encoder": dict,
    "parents": list,
    "strategy": str,
    "fingerprint": str,
    "modules": list,
    "packages": dict,
    "files": dict,
    "digest": str,
}
_FILES_OF: dict[str, set[str]] = {
    "lora": {ADAPTER_CONFIG, ADAPTER_WEIGHTS},
    "frozen": set(),
    "last_n": {MOVED_WEIGHTS},
    "full": {MOVED_WEIGHTS},
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def check_name(name: str) -> str:
    """Return ``name`` if it can name an adapter or a file of one: letters, digits, ``-`` and ``_``."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"name {name!r:.80}: expected letters, digits, '-' and '_', starting with a letter or a digit"
        )
    return name


def check_card(card: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a card whose entries have their types, whose digest is right and whose files suit its strategy.

    Raises:
        ValueError: the entry, what it is expected to be and what it is; ``path`` names the card.
    """

    def check(fits: bool, entry: str, expected: str, found: Any) -> None:
        if not fits:
            raise ValueError(f"{path}: expected an entry {entry!r} that is {expected}, found {found!r:.80}")

    for key, kind in _REQUIRED.items():
        expected = "text or a whole number" if kind == (str, int) else getattr(kind, "__name__", "")
        check(
            isinstance(card.get(key), kind) and not isinstance(card[key], bool), key, expected, card.get(key)
        )
    form = card.get("format", 1)
    check(type(form) is int and 1 <= form <= FORMAT, "format", f"1 to {FORMAT} (newer package?)", form)
    if card["digest"] != card_digest(card):
        raise ValueError(
            f"{path}: expected the digest {card['digest']:.64}, found {card_digest(card)}: "
            "the card was changed after it was written"
        )
    try:
        check_name(card["name"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if card["strategy"] not in STRATEGIES:
        raise ValueError(f"{path}: strategy {card['strategy']!r:.80}: expected one of {list(STRATEGIES)}")
    for parent in card["parents"]:
        check(_is_parent(parent), "parents", "a list of names and fingerprints", parent)
    modules, files = card["modules"], card["files"]
    check(all(isinstance(name, str) for name in modules), "modules", "a list of names", modules)
    moves = card["strategy"] in ("last_n", "full")
    check(moves or not modules, "modules", f"empty with strategy {card['strategy']!r}", modules)
    check(all(isinstance(digest, str) for digest in files.values()), "files", "a SHA-256 by name", files)
    check(
        _is_encoder(card["encoder"]), "encoder", "the base: name, family, side, fingerprint", card["encoder"]
    )
    missing = _FILES_OF[card["strategy"]] - set(files)
    if missing:
        raise ValueError(
            f"{path}: strategy {card['strategy']!r} needs {sorted(missing)}, not listed in {CARD}"
        )
    return card


def card_digest(card: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a card's entries, without that of the digest itself."""
    content = {key: value for key, value in card.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _is_parent(parent: Any) -> bool:
    return isinstance(parent, dict) and all(
        isinstance(parent.get(key), str) for key in ("name", "fingerprint")
    )


def _is_encoder(encoder: dict[str, Any]) -> bool:
    """Tell whether an entry names a base; it is empty for a network without one."""
    texts = all(isinstance(encoder.get(key), str) for key in ("name", "family", "fingerprint"))
    texts = texts and isinstance(encoder.get("quantisation", ""), str)
    return not encoder or (texts and type(encoder.get("image_size", 1)) is int)
