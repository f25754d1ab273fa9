"""Read a saved adapter: one version of all its files, checked against its card, into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from peft import LoraConfig
from torch import Tensor

from monai_lora_sam.adapters.card import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    CARD,
    MOVED_WEIGHTS,
    check_card,
    check_name,
)
from monai_lora_sam.adapters.plain_lora import plain_lora_config
from monai_lora_sam.files import content_sha256, current_folder, parse_json, read_json

#: Number of times that reading starts over because a writer replaced the folder meanwhile.
ATTEMPTS = 100
#: Size in bytes of the largest file of weights that is read: three times SAM ViT-H in float32.
LARGEST_WEIGHTS = 8 * 2**30
#: Magnitude above which no trained weight lies; products of larger ones overflow.
LARGEST_VALUE = 1e8

Read = TypeVar("Read")


@dataclass(frozen=True)
class SavedAdapter:
    """Hold one version of a saved adapter: card and files, as they were at one instant.

    Attributes:
        folder: as it was asked for.
        card: checked.
        contents: bytes of every file that the card lists; their SHA-256 are those in the card.
    """

    folder: Path
    card: dict[str, Any]
    contents: Mapping[str, bytes]

    def tensors(self, file: str) -> dict[str, Tensor]:
        """Return the tensors of one file; refuse NaN, infinity and numbers beyond use."""
        return parse_tensors(self.contents[file], self.folder / file)

    def config(self) -> LoraConfig:
        """Return PEFT's configuration, which has to be plain LoRA."""
        path = self.folder / ADAPTER_CONFIG
        return plain_lora_config(parse_json(self.contents[ADAPTER_CONFIG], path), path)

    def extra(self, name: str) -> dict[str, Tensor]:
        """Return the tensors saved under a name; raise a ``KeyError`` that lists the files if there are none."""
        file = extra_file(name)
        if file not in self.contents:
            raise KeyError(f"{self.folder}: expected {file}, found {sorted(self.contents)}")
        return self.tensors(file)


def open_adapter(folder: str | Path | SavedAdapter) -> SavedAdapter:
    """Read an adapter's card and files once, all of one version, and check them; an open one is returned as it is.

    Where a writer replaces the folder meanwhile, reading starts over. Nothing on the disk is changed.

    Raises:
        FileNotFoundError: if the folder, its card or a file that the card lists is missing.
        ValueError: if the card or a file is truncated or was changed; expected and found SHA-256 are named.
        OSError: if the folder was replaced at each of 100 attempts.

    Example:
        >>> open_adapter("adapters/liver").card["parents"]  # doctest: +SKIP
        []
    """
    if isinstance(folder, SavedAdapter):
        return folder
    shown = Path(folder)

    def read(place: Path) -> SavedAdapter:
        card = _read_card(place, shown)
        contents = {file: _read_file(place, shown, file, digest) for file, digest in card["files"].items()}
        return SavedAdapter(shown, card, contents)

    return _read_one_version(shown, read)


def read_card(folder: str | Path) -> dict[str, Any]:
    """Read and check the card of an adapter folder, without reading the other files.

    Raises:
        FileNotFoundError: if the folder or its card is missing.
        ValueError: if the card is truncated, changed since it was written, or lacks something.

    Example:
        >>> read_card("adapters/liver")["parents"]  # doctest: +SKIP
        []
    """
    return _read_one_version(Path(folder), lambda place: _read_card(place, Path(folder)))


def verify_folder(folder: str | Path) -> dict[str, Any]:
    """Check every file of an adapter folder against its card and return the card; errors as :func:`open_adapter`."""
    return open_adapter(folder).card


def load_extra(folder: str | Path, name: str) -> dict[str, Tensor]:
    """Return the tensors saved beside an adapter under a name, such as the ``"head"`` of a stage.

    Raises:
        KeyError: if nothing was saved under that name; the message lists the files.
        ValueError: if a file of the folder is damaged.

    Example:
        >>> head.load_state_dict(load_extra("adapters/liver", "head"))  # doctest: +SKIP
    """
    return open_adapter(folder).extra(name)


def extra_file(name: str) -> str:
    """Return the name of the file that holds an extra of an adapter."""
    file = f"{check_name(name)}.safetensors"
    if file in (ADAPTER_WEIGHTS, MOVED_WEIGHTS):
        raise ValueError(f"extra name {name!r} is taken by the adapter itself")
    return file


def parse_tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    """Return the tensors in the bytes of a safetensors file; refuse NaN, infinity and numbers beyond use."""
    try:
        # Not mapped into memory: a mapped file that is overwritten in place takes the process down with it.
        tensors = safetensors.torch.load(content)
    except Exception as error:  # the library's own error type carries no path
        raise ValueError(f"{path}: expected a safetensors file, found a damaged one: {error}") from error
    check_finite(tensors, str(path))
    return tensors


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise a ``ValueError`` if a tensor holds NaN, infinity or a number beyond use."""
    for name, tensor in tensors.items():
        if tensor.is_complex() or (tensor.is_floating_point() and tensor.element_size() < 2):
            raise ValueError(
                f"{where}: expected real numbers of 16 bits or more in {name}, found {tensor.dtype}"
            )
        if not tensor.is_floating_point():
            continue
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{where}: expected finite numbers in {name}, found NaN or infinity")
        if tensor.numel() and (largest := float(tensor.abs().max())) > LARGEST_VALUE:
            raise ValueError(
                f"{where}: expected numbers up to {LARGEST_VALUE:g} in {name}, found {largest:g}"
            )


def read_inside(folder: Path, file: str, shown: Path) -> bytes:
    """Return the bytes of a plain file of a folder; refuse names and links that lead out of it, and giants."""
    path = folder / file
    if (
        Path(file).name != file
        or "\\" in file
        or "\0" in file
        or file in ("", ".", "..")
        or path.is_symlink()
    ):
        raise ValueError(f"{shown}: {file!r:.80}: expected the name of a plain file in the folder itself")
    if not path.is_file():
        raise FileNotFoundError(f"{shown / file}: expected the file that {CARD} lists, found none")
    if (size := path.stat().st_size) > LARGEST_WEIGHTS:
        raise ValueError(f"{shown / file}: expected at most {LARGEST_WEIGHTS} bytes, found {size}")
    return path.read_bytes()


def _read_one_version(folder: Path, read: Callable[[Path], Read]) -> Read:
    """Read a folder; start over after an error that a writer caused who replaced the folder meanwhile.

    The card is the version: reading checks the files against it, so that a mixture of two is an error. An error is the
    folder's own if the card's file is still the same.
    """
    for _ in range(ATTEMPTS):
        place = current_folder(folder)
        before = _identity(place)
        try:
            return read(place)
        except (OSError, ValueError):
            if before == _identity(current_folder(folder)):
                raise
    raise OSError(
        f"{folder}: expected a folder at rest, found it replaced {ATTEMPTS} times while it was read"
    )


def _identity(place: Path) -> tuple[int, ...] | None:
    """Return what tells the file of a card from any other: device, number, time, size."""
    try:
        found = (place / CARD).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _read_card(place: Path, shown: Path) -> dict[str, Any]:
    if not (place / CARD).is_file():
        raise FileNotFoundError(f"{shown}: expected an adapter folder with {CARD}, found none")
    try:
        card = read_json(place / CARD)
    except ValueError as error:
        raise ValueError(str(error).replace(str(place), str(shown), 1)) from error
    return check_card(card, shown / CARD)


def _read_file(place: Path, shown: Path, file: str, expected: str) -> bytes:
    content = read_inside(place, file, shown)
    found = hashlib.sha256(content).hexdigest()
    if found == expected or (file.endswith(".json") and _json_sha256(content, shown / file) == expected):
        return content
    raise ValueError(
        f"{shown / file}: expected SHA-256 {expected:.64}, found {found} ({len(content)} bytes): "
        "the file is truncated or was changed after it was written"
    )


def _json_sha256(content: bytes, path: Path) -> str | None:
    """Return the hash of a JSON file as this package writes it: git or an editor may change its line endings."""
    try:
        return content_sha256(parse_json(content, path))
    except ValueError:  # the bytes differ, and they are no JSON: the file is damaged
        return None
