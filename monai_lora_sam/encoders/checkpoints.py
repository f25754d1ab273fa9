"""Find and read weights on disk or on the Hugging Face hub, without ever running code in them."""

from __future__ import annotations

import pickle
import re
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from monai_lora_sam.files import content_sha256, read_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
#: Entry of the metadata of weights with the SHA-256 of the ``config.json`` that they were saved with.
CONFIG_SEAL = "config_sha256"
#: Number of times that reading starts over because a writer replaced one of two files meanwhile.
ATTEMPTS = 20
#: Times that the content of a ``.pth`` archive may be as large as its file; torch does not compress.
LARGEST_EXPANSION = 4
TORCH_SUFFIXES = (".pth", ".pt", ".bin")


@dataclass
class Checkpoint:
    """The names of the tensors of a checkpoint, with a way to read some of them.

    Attributes:
        source: file or folder, for messages.
        names: of all tensors in it.
        read: reads the tensors of the names given.
        config: ``config.json`` beside the weights, if any.
        metadata: of the safetensors file, if it is one.
    """

    source: Path
    names: list[str]
    read: Callable[[list[str]], dict[str, Tensor]]
    config: dict[str, Any] | None
    metadata: Mapping[str, str] = field(default_factory=dict)


def open_checkpoint(source: str | Path) -> Checkpoint:
    """Open weights without reading those that are not asked for.

    Args:
        source: a ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file, a folder that holds
            ``model.safetensors`` (or its shards and their index), or a Hugging Face id (``facebook/sam3``).

    Raises:
        FileNotFoundError: there is no such file, folder or id.
        ValueError: the file is not a checkpoint, is damaged, or holds pickled objects other than tensors.
    """
    path = _locate(source)
    if path.is_file():
        if path.suffix in TORCH_SUFFIXES:
            return _open_torch(path)
        return _open_safetensors(path, [path], path.with_name("config.json"))
    if (path / INDEX).is_file():
        return _open_safetensors(path, _shards(path / INDEX), path / "config.json")
    if (path / WEIGHTS).is_file():
        return _open_safetensors(path, [path / WEIGHTS], path / "config.json")
    found = ", ".join(sorted(item.name for item in path.iterdir())[:10]) or "nothing"
    raise FileNotFoundError(f"{path}: expected {WEIGHTS} or {INDEX} in this folder, found {found}.")


def _locate(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if path.exists():
        return path
    is_id = isinstance(source, str) and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source)
    if not is_id or path.suffix in (*TORCH_SUFFIXES, ".safetensors"):
        raise FileNotFoundError(f"{source}: no such file or folder, and not a Hugging Face id (owner/name).")
    return _download(str(source))


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        patterns = ["config.json", "model*.safetensors", INDEX]
        return Path(snapshot_download(repository, allow_patterns=patterns))
    except Exception as error:
        raise FileNotFoundError(
            f"{repository}: neither a local path nor to be had from the Hugging Face hub "
            f"({type(error).__name__}: {error}). If it is gated, ask for access on its page and log in with "
            "`hf auth login`; without a network, give a local folder or file."
        ) from error


def _shards(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{index}: expected a non-empty 'weight_map' from tensors to files.")
    shards = [index.parent / name for name in sorted({str(value) for value in weight_map.values()})]
    missing = [shard.name for shard in shards if shard.parent != index.parent or not shard.is_file()]
    if missing:
        raise FileNotFoundError(f"{index}: names files that are not beside it: {', '.join(missing)}.")
    return shards


def _open_safetensors(source: Path, files: list[Path], config: Path) -> Checkpoint:
    for _ in range(ATTEMPTS):
        # Kept open: a file that a writer replaces meanwhile stays the one whose names and configuration were read.
        opened = {file: _open_one(file) for file in files}
        found = read_json(config) if config.is_file() else None
        seals = [(handle.metadata() or {}).get(CONFIG_SEAL) for handle in opened.values()]
        sealed = {str(seal) for seal in seals if seal is not None}
        actual = content_sha256(found) if found is not None else "none"
        if found is None or sealed <= {actual}:
            break
        time.sleep(0.01)  # a writer replaces the two files one after the other
    else:
        raise ValueError(
            f"{config}: expected the configuration that the weights beside it were saved with (SHA-256 "
            f"{', '.join(sorted(sealed))}), found {actual}: it was changed, or a save was killed"
        )
    metadata = {key: value for handle in opened.values() for key, value in (handle.metadata() or {}).items()}
    holder = {name: file for file, handle in opened.items() for name in handle.keys()}  # noqa: SIM118

    def read(names: list[str]) -> dict[str, Tensor]:
        tensors = {}
        for name in names:
            try:
                # Copied, since what safetensors returns is mapped from a file that may change.
                tensors[name] = opened[holder[name]].get_tensor(name).clone()
            except Exception as error:  # the library has several types of its own
                raise ValueError(f"{holder[name]}: not a whole safetensors file ({error}).") from error
        return tensors

    return Checkpoint(source, list(holder), read, found, metadata)


def _open_one(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt")
    except Exception as error:  # the library has several types of its own
        raise ValueError(f"{file}: not a whole safetensors file ({error}).") from error


def _open_torch(path: Path) -> Checkpoint:
    _check_expansion(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n", 1)[0]
        raise ValueError(
            f"{path}: refused, since it holds something other than tensors, or is no checkpoint ({reason})."
        ) from error
    except Exception as error:  # damaged bytes end in almost any type: struct, zlib, recursion, memory
        reason = (str(error) or type(error).__name__).split("\n", 1)[0]
        raise ValueError(f"{path}: not a whole PyTorch checkpoint ({reason}).") from error
    tensors = _largest_state_dict(content)
    if not tensors:
        raise ValueError(f"{path}: expected a state dict (names to tensors), found {type(content).__name__}.")
    config = path.with_name("config.json")
    found = read_json(config) if config.is_file() else None
    return Checkpoint(path, list(tensors), lambda names: {name: tensors[name] for name in names}, found)


def _check_expansion(path: Path) -> None:
    """Refuse an archive whose content is far larger than its file."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            content = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:  # struct, zip, unicode and more
        raise ValueError(f"{path}: not a whole PyTorch checkpoint ({error}).") from error
    size = path.stat().st_size
    if content > LARGEST_EXPANSION * size:
        raise ValueError(f"{path}: refused, since {size} bytes would be unpacked to {content}.")


def _largest_state_dict(content: Any) -> dict[str, Tensor]:
    """Return the state dict itself, or the one wrapped as in ``{"model": ..., "optimizer": ...}``."""
    if not isinstance(content, Mapping):
        return {}
    found = [
        {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    ]
    found += [_largest_state_dict(value) for value in content.values() if isinstance(value, Mapping)]
    return max(found, key=len)
