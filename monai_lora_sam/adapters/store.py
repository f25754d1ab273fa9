"""Write adapters as plain PEFT folders with a card, and check them before anything in them is used."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from peft import LoraConfig
from torch import Tensor

from monai_lora_sam.files import recover_folder

CARD = "card.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
MOVED_WEIGHTS = "encoder_delta.safetensors"

STRATEGIES = ("lora", "frozen", "last_n", "full")

#: Entries of the card that the stack writes; a caller's card cannot overrule them.
RESERVED_KEYS = (
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
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_FILES_OF: dict[str, set[str]] = {
    "lora": {ADAPTER_CONFIG, ADAPTER_WEIGHTS},
    "frozen": set(),
    "last_n": {MOVED_WEIGHTS},
    "full": {MOVED_WEIGHTS},
}
_CONFIG_KEYS = ("r", "lora_alpha", "lora_dropout", "target_modules", "layers_to_transform", "layers_pattern")
# PEFT's notes in a configuration about itself, the base and the task, which no loading of ours uses.
_CONFIG_NOTES = (
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "peft_type",
    "peft_version",
    "revision",
    "task_type",
)


def check_name(name: str) -> str:
    """Return ``name`` if it can name an adapter or a file of one: letters, digits, ``-`` and ``_``."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"name {name!r}: expected letters, digits, '-' and '_', starting with a letter or a digit"
        )
    return name


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
        _check_finite(plain, f"{card['name']}: {file}")
        # Not save_file: it makes files that only their owner can read.
        (folder / file).write_bytes(safetensors.torch.save(plain, metadata={"format": "pt"}))
    card = {
        **card,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": {name: metadata.version(name) for name in ("torch", "peft", "transformers")},
        "files": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
    }
    try:
        card = json.loads(json.dumps(card, allow_nan=False, default=_plain_number))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{card['name']}: the card cannot be written as JSON: {error}") from error
    card["digest"] = _card_digest(card)
    (folder / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return card


def save_config(config: LoraConfig, folder: Path) -> None:
    """Write PEFT's configuration with its target names, a set in PEFT, in one order: equal runs, equal bytes."""
    config.save_pretrained(str(folder))
    path = folder / ADAPTER_CONFIG
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries["target_modules"] = sorted(entries["target_modules"])
    path.write_text(json.dumps(entries, indent=2, sort_keys=True), encoding="utf-8")


def read_card(folder: str | Path) -> dict[str, Any]:
    """Read and check the card of an adapter folder, without reading the other files.

    Raises:
        FileNotFoundError: if the folder or its card is missing.
        ValueError: if the card is truncated, changed since it was written, or lacks something.

    Example:
        >>> read_card("adapters/liver")["parents"]  # doctest: +SKIP
        []
    """
    recover_folder(folder)
    path = Path(folder) / CARD
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: expected an adapter folder with {CARD}, found none")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected a JSON object, found damaged text: {error}") from error
    if not isinstance(card, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(card).__name__}")
    for key, kind in _REQUIRED.items():
        if not isinstance(card.get(key), kind):
            raise ValueError(f"{path}: expected an entry {key!r}, found {card.get(key)!r}")
    if card["digest"] != _card_digest(card):
        raise ValueError(
            f"{path}: expected the digest {card['digest']}, found {_card_digest(card)}: "
            "the card was changed after it was written"
        )
    check_name(card["name"])
    if card["strategy"] not in STRATEGIES:
        raise ValueError(f"{path}: strategy {card['strategy']!r}: expected one of {list(STRATEGIES)}")
    for parent in card["parents"]:
        if not isinstance(parent, dict) or not {"name", "fingerprint"} <= set(parent):
            raise ValueError(f"{path}: expected parents with name and fingerprint, found {parent!r}")
    return card


def verify_folder(folder: str | Path) -> dict[str, Any]:
    """Check every file of an adapter folder against its card and return the card.

    Raises:
        FileNotFoundError: if the folder, its card or a file that the card lists is missing.
        ValueError: if a file is truncated or was changed; expected and found SHA-256 are named.
    """
    card = read_card(folder)
    missing = _FILES_OF[card["strategy"]] - set(card["files"])
    if missing:
        raise ValueError(
            f"{folder}: strategy {card['strategy']!r} needs {sorted(missing)}, not listed in {CARD}"
        )
    for file, expected in card["files"].items():
        path = _inside(folder, file)
        found = _sha256(path)
        if found != expected:
            raise ValueError(
                f"{path}: expected SHA-256 {expected}, found {found} ({path.stat().st_size} bytes): "
                "the file is truncated or was changed after it was written"
            )
    return card


def load_extra(folder: str | Path, name: str) -> dict[str, Tensor]:
    """Return the tensors saved beside an adapter under a name, such as the ``"head"`` of a stage.

    Raises:
        KeyError: if nothing was saved under that name; the message lists the files.
        ValueError: if a file of the folder is damaged.

    Example:
        >>> head.load_state_dict(load_extra("adapters/liver", "head"))  # doctest: +SKIP
    """
    card = verify_folder(folder)
    file = extra_file(name)
    if file not in card["files"]:
        raise KeyError(f"{folder}: expected {file}, found {sorted(card['files'])}")
    return load_tensors(folder, file)


def extra_file(name: str) -> str:
    """Return the name of the file that holds an extra of an adapter."""
    file = f"{check_name(name)}.safetensors"
    if file in (ADAPTER_WEIGHTS, MOVED_WEIGHTS):
        raise ValueError(f"extra name {name!r} is taken by the adapter itself")
    return file


def load_tensors(folder: str | Path, file: str) -> dict[str, Tensor]:
    """Load one safetensors file of a verified folder; refuse NaN and infinity."""
    path = _inside(folder, file)
    try:
        # Not mapped into memory: a mapped file that is overwritten in place takes the process down with it.
        tensors = safetensors.torch.load(path.read_bytes())
    except Exception as error:  # the library's own error type carries no path
        raise ValueError(f"{path}: expected a safetensors file, found a damaged one: {error}") from error
    _check_finite(tensors, str(path))
    return tensors


def load_config(folder: str | Path) -> LoraConfig:
    """Build PEFT's configuration of a verified folder from the plain LoRA entries alone.

    PEFT's configurations can ask for much more (importing modules, changing the base at initialisation,
    regular expressions). None of that is written by this package, so a file that asks for it is refused.

    Raises:
        ValueError: if the file is no plain LoRA configuration; the entry is named.
    """
    path = _inside(folder, ADAPTER_CONFIG)
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.get("peft_type") != "LORA":
        raise ValueError(f"{path}: expected peft_type 'LORA', found {found!r:.80}")
    targets = found.get("target_modules")
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise ValueError(f"{path}: expected target_modules as a list of names, found {targets!r}")
    config = LoraConfig(**{key: found[key] for key in _CONFIG_KEYS if found.get(key) is not None})
    plain = json.loads(json.dumps(config.to_dict(), default=sorted))
    for key, value in found.items():
        default = plain.get(key)
        if key == "init_lora_weights" and value in (False, "gaussian"):
            continue  # other values at the start of training, on an unchanged base
        if key not in (*_CONFIG_KEYS, *_CONFIG_NOTES) and value != default and (value or default):
            raise ValueError(f"{path}: {key}: expected {default!r} as in plain LoRA, found {value!r}")
    return config


def list_adapters(root: str | Path) -> list[dict[str, Any]]:
    """Return the cards of all adapter folders below ``root``, each with its ``folder``, sorted by folder.

    A folder that looks like an adapter's but cannot be used is listed as ``{"folder": , "error": reason}``;
    nothing is raised for it.

    Raises:
        NotADirectoryError: if ``root`` is not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: expected a folder of adapters")
    for previous in sorted(root.rglob(".*.previous")):
        recover_folder(previous.parent / previous.name[1:].removesuffix(".previous"))
    marks = {CARD, ADAPTER_CONFIG, ADAPTER_WEIGHTS, MOVED_WEIGHTS}
    folders = {path.parent for path in root.rglob("*") if path.name in marks}
    cards = []
    for folder in sorted(folders):
        if any(part.startswith(".") for part in folder.relative_to(root).parts):
            continue
        try:
            cards.append({**verify_folder(folder), "folder": str(folder)})
        except (ValueError, OSError) as error:
            cards.append({"folder": str(folder), "error": str(error)})
    return cards


def _inside(folder: str | Path, file: str) -> Path:
    """Return the path of a file of the folder; refuse names and links that lead out of it."""
    path = Path(folder) / file
    if Path(file).name != file or "\\" in file or file in ("", ".", "..") or path.is_symlink():
        raise ValueError(f"{folder}: {file!r}: expected the name of a plain file in the folder itself")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the file that {CARD} lists, found none")
    return path


def _check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{where}: expected finite numbers in {name}, found NaN or infinity")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card_digest(card: dict[str, Any]) -> str:
    content = {key: value for key, value in card.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plain_number(value: Any) -> Any:
    """Turn a NumPy or torch scalar into Python's own."""
    if getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{value!r} of type {type(value).__name__}")
