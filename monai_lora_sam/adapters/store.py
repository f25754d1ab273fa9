"""Write adapters as plain PEFT folders with a card, and list those below a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from peft import LoraConfig
from torch import Tensor

from monai_lora_sam.adapters.card import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    CARD,
    FORMAT,
    MOVED_WEIGHTS,
    RESERVED_KEYS,
    card_digest,
)
from monai_lora_sam.adapters.saved import check_finite, open_adapter
from monai_lora_sam.files import folder_moved_aside


def check_save(name: str, folder: str | Path, card: Mapping[str, Any]) -> None:
    """Raise unless an adapter can be written into a folder with these further entries of its card."""
    reserved = sorted(set(card) & set(RESERVED_KEYS))
    if reserved:
        raise ValueError(f"{name}: card entries {reserved} are written by the stack itself")
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD).exists():
        raise FileExistsError(f"{folder}: expected an adapter's folder or none, found other files in it")


def tensors_fingerprint(tensors: Mapping[str, Tensor], note: str = "") -> str:
    """Return the SHA-256 of tensors (names, types, shapes, values) and of a note that goes with them."""
    digest = hashlib.sha256(note.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_folder(
    folder: Path, card: dict[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], config: LoraConfig | None
) -> dict[str, Any]:
    """Write tensors, PEFT configuration and card into an existing empty folder; return the finished card.

    Args:
        folder: where to write, usually what :func:`atomic_folder` yields.
        card: all of the card but ``created``, ``packages``, ``files`` and ``digest``.
        tensors: file name to named tensors.
        config: PEFT's configuration, for an adapter.

    Raises:
        ValueError: if a tensor holds NaN or infinity, or the card holds something that JSON cannot.
    """
    if config is not None:
        save_config(config, folder)
    for file, named in tensors.items():
        plain = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in named.items()}
        check_finite(plain, f"{card['name']}: {file}")
        # Not save_file: it makes files that only their owner can read.
        (folder / file).write_bytes(safetensors.torch.save(plain, metadata={"format": "pt"}))
    card = {
        "format": FORMAT,
        **card,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": {name: metadata.version(name) for name in ("torch", "peft", "transformers")},
        "files": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
    }
    try:
        card = json.loads(json.dumps(card, allow_nan=False, default=_plain_number))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{card['name']}: the card cannot be written as JSON: {error}") from error
    card["digest"] = card_digest(card)
    write_card(card, folder / CARD)
    return card


def write_card(card: Mapping[str, Any], path: Path) -> None:
    """Write a finished card."""
    path.write_bytes((json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())


def save_config(config: LoraConfig, folder: Path) -> None:
    """Write PEFT's configuration with its target names, a set in PEFT, in one order: equal runs, equal bytes."""
    config.save_pretrained(str(folder))
    path = folder / ADAPTER_CONFIG
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries["target_modules"] = sorted(entries["target_modules"])
    path.write_bytes(json.dumps(entries, indent=2, sort_keys=True).encode())


def list_adapters(root: str | Path) -> list[dict[str, Any]]:
    """Return the cards of all adapter folders below ``root``, sorted by folder; nothing on the disk is changed.

    Each has its ``folder``, the size of its files in ``bytes``, and the rank ``r`` of a LoRA adapter.

    A folder that looks like an adapter's but cannot be used is listed as ``{"folder": , "error": reason}``;
    nothing is raised for it.

    Raises:
        NotADirectoryError: if ``root`` is not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: expected a folder of adapters")
    marks = {CARD, ADAPTER_CONFIG, ADAPTER_WEIGHTS, MOVED_WEIGHTS}
    found = {path.parent for path in root.rglob("*") if path.name in marks}
    folders = {folder_moved_aside(folder) or folder for folder in found}
    cards = []
    for folder in sorted(folders):
        if any(part.startswith(".") for part in folder.relative_to(root).parts):
            continue
        try:
            saved = open_adapter(folder)
            rank = {"r": saved.config().r} if saved.card["strategy"] == "lora" else {}
            size = sum(map(len, saved.contents.values()))
            cards.append({**saved.card, **rank, "bytes": size, "folder": str(folder)})
        except (ValueError, OSError) as error:
            cards.append({"folder": str(folder), "error": str(error)})
    return cards


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain_number(value: Any) -> Any:
    """Turn a NumPy or torch scalar into Python's own."""
    if getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{value!r} of type {type(value).__name__}")
