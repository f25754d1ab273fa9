"""Find and read weights on disk or on the Hugging Face hub, without ever running code in them."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TORCH_SUFFIXES = (".pth", ".pt", ".bin")


@dataclass
class Checkpoint:
    """The names of the tensors of a checkpoint, with a way to read some of them.

    Attributes:
        source: file or folder, for messages.
        names: of all tensors in it.
        read: reads the tensors of the names given.
        config: ``config.json`` beside the weights, if any.
    """

    source: Path
    names: list[str]
    read: Callable[[list[str]], dict[str, Tensor]]
    config: dict[str, Any] | None


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
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{index}: expected a non-empty 'weight_map' from tensors to files.")
    shards = [index.parent / name for name in sorted({str(value) for value in weight_map.values()})]
    missing = [shard.name for shard in shards if shard.parent != index.parent or not shard.is_file()]
    if missing:
        raise FileNotFoundError(f"{index}: names files that are not beside it: {', '.join(missing)}.")
    return shards


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error}).") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(content).__name__}.")
    return content


def _open_safetensors(source: Path, files: list[Path], config: Path) -> Checkpoint:
    holder: dict[str, Path] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                holder.update(dict.fromkeys(opened.keys(), file))
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file}: not a whole safetensors file ({error}).") from error

    def read(names: list[str]) -> dict[str, Tensor]:
        tensors = {}
        for file in files:
            with safe_open(file, framework="pt") as opened:
                # Copied, since what safetensors returns is mapped from a file that may change.
                tensors.update(
                    {name: opened.get_tensor(name).clone() for name in names if holder[name] == file}
                )
        return tensors

    return Checkpoint(source, list(holder), read, _read_json(config) if config.is_file() else None)


def _open_torch(path: Path) -> Checkpoint:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path}: refused, since it holds something other than tensors, or is no checkpoint ({reason})."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: not a whole PyTorch checkpoint ({error}).") from error
    tensors = _largest_state_dict(content)
    if not tensors:
        raise ValueError(f"{path}: expected a state dict (names to tensors), found {type(content).__name__}.")
    return Checkpoint(path, list(tensors), lambda names: {name: tensors[name] for name in names}, None)


def _largest_state_dict(content: Any) -> dict[str, Tensor]:
    """Return the state dict itself, or the one wrapped as in ``{"model": ..., "optimizer": ...}``."""
    if not isinstance(content, Mapping):
        return {}
    found = [
        {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    ]
    found += [_largest_state_dict(value) for value in content.values() if isinstance(value, Mapping)]
    return max(found, key=len)
