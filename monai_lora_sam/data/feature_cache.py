"""Keep a frozen network's features of images on disk, so that heads train without running the network."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from tqdm import tqdm

from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import atomic_folder

Features = Tensor | Sequence[Tensor]

FORMAT = 1
IDENTITY = "identity.json"
INDEX = "index.json"
WEIGHTS = "features.safetensors"
_OPEN_SHARDS = 128  # mapped at a time; each holds a file descriptor on some systems


def image_key(image: Tensor, conditions: Mapping[str, Tensor | None] | None = None) -> str:
    """Return the SHA-256 of a network's input: pixels, shape and conditions.

    The tensor is hashed after all preprocessing, so another file, size or normalisation gives another key.

    Args:
        image: (3, H, W), normalised.
        conditions: further inputs of the network by name, such as the direction of a view; None where unknown.
    """
    pixels = torch.as_tensor(image).detach().to("cpu", torch.float32).contiguous()
    values = "|".join(_numbers(value) for _, value in sorted((conditions or {}).items())) or "None"
    digest = hashlib.sha256(f"{tuple(pixels.shape)}|{values}|".encode())
    digest.update(pixels.numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()


def _numbers(value: Tensor | None) -> str:
    return str(value if value is None else torch.as_tensor(value, dtype=torch.float64).tolist())


def to_float16(features: Tensor, where: str) -> Tensor:
    """Return features in float16 on the CPU.

    Raises:
        ValueError: a feature is NaN, infinite or beyond float16's range; ``where`` starts the message.
    """
    half = features.detach().to("cpu", torch.float16).contiguous()
    if torch.isfinite(half).all():
        return half
    if not torch.isfinite(features).all():
        raise ValueError(f"{where}: expected finite features, found NaN or infinity")
    largest = features.abs().max().item()
    raise ValueError(
        f"{where}: expected features within float16's range of ±{torch.finfo(torch.float16).max:.0f}, "
        f"found {largest:.6g}"
    )


class FeatureCache:
    """Hold features of images in float16, in checksummed shards, for one network.

    A folder holds ``identity.json`` (the fingerprints of encoder, adapters and heads that made the features) and
    ``shards/<name>/`` with the tensors and ``index.json``, which lists their images and their SHA-256. A shard's
    folder gets its name when it is whole, so a killed run leaves whole shards only and several processes may write
    into one cache. Each shard is checked once before its first read; tensors are then read singly, mapped from the
    file.

    Args:
        folder: the folder of this cache; created where missing.
        identity: fingerprints by name, see :func:`monai_lora_sam.networks.feature_identity`.

    Raises:
        ValueError: the folder is a cache of another identity (the message lists the differences), is no cache, or
            holds a damaged index.

    Example:
        >>> cache = FeatureCache("features", {"encoder": "5f3c…"})  # doctest: +SKIP
        >>> cache.add({image_key(image): network.features(image[None])})  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, str]) -> None:
        self.folder = Path(folder)
        self.identity = {"format": str(FORMAT), **identity}
        self._shard_of: dict[str, Path] = {}
        self._index: dict[Path, dict[str, Any]] = {}
        self._verified: set[Path] = set()
        self._open: OrderedDict[Path, Any] = OrderedDict()
        self._claim()
        self.refresh()

    @classmethod
    def under(cls, root: str | Path, identity: Mapping[str, str]) -> FeatureCache:
        """Open the cache of an identity below a folder with a cache for each identity; create it where missing."""
        return cls(Path(root) / _digest({"format": str(FORMAT), **identity})[:16], identity)

    def __contains__(self, key: str) -> bool:
        return key in self._shard_of

    def __len__(self) -> int:
        return len(self._shard_of)

    def __getitem__(self, key: str) -> Tensor | list[Tensor]:
        """Return the features of a key in float16: a tensor (C, H, W), or a list of tensors, finest first.

        Raises:
            KeyError: the cache has no such key.
            ValueError: the shard is truncated or was changed.
        """
        if key not in self._shard_of:
            raise KeyError(f"{self.folder}: no features of the image {key[:16]}…")
        shard = self._shard_of[key]
        tensors = self._tensors(shard)
        levels = self._index[shard]["images"][key]
        if levels is None:
            return tensors.get_tensor(key)
        return [tensors.get_tensor(f"{key}.{level}") for level in range(levels)]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}  # mapped files do not travel to another process

    def add(self, features: Mapping[str, Features]) -> None:
        """Write one shard.

        Args:
            features: by :func:`image_key`, a tensor (C, H, W) or a list of tensors.

        Raises:
            ValueError: no features, or features that do not fit float16.
        """
        if not features:
            raise ValueError(f"{self.folder}: expected features of at least one image, found none")
        tensors: dict[str, Tensor] = {}
        for key, value in features.items():
            levels = {key: value} if isinstance(value, Tensor) else dict(_numbered(key, value))
            tensors |= {name: to_float16(level, key) for name, level in levels.items()}
        content = safetensors.torch.save(tensors)
        images = {key: None if isinstance(value, Tensor) else len(value) for key, value in features.items()}
        shard = self.folder / "shards" / hashlib.sha256("".join(images).encode()).hexdigest()[:16]
        index = {
            "identity": _digest(self.identity),
            "sha256": hashlib.sha256(content).hexdigest(),
            "images": images,
        }
        with atomic_folder(shard) as temporary:
            (temporary / WEIGHTS).write_bytes(content)
            write_json(temporary / INDEX, index)
        self._note(shard, index)

    def refresh(self) -> None:
        """Look for new shards, such as other processes wrote."""
        for path in sorted(self.folder.glob(f"shards/[!.]*/{INDEX}")):
            if path.parent not in self._index:
                self._note(path.parent, self._read_index(path))

    def verify(self, keys: Iterable[str] | None = None, progress: bool = False) -> None:
        """Check the shards of these images (by default of all) against their SHA-256, each once.

        Raises:
            ValueError: a shard is truncated or was changed; its file is named.
        """
        shards = {self._shard_of[key] for key in (self._shard_of if keys is None else keys)}
        todo = sorted(shards - self._verified)
        for shard in tqdm(todo, desc="checking features", disable=not progress, leave=False):
            self._verify(shard)

    def _claim(self) -> None:
        path = self.folder / IDENTITY
        if not path.exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise ValueError(
                    f"{self.folder}: expected a feature cache or an empty folder, found no {IDENTITY}"
                )
            write_json(path, self.identity)
            return
        found = _read_object(path)
        names = sorted(
            name for name in {*found, *self.identity} if found.get(name) != self.identity.get(name)
        )
        if names:
            differences = "; ".join(
                f"{name}: expected {self.identity.get(name, 'none')}, found {found.get(name, 'none')}"
                for name in names
            )
            raise ValueError(f"{path}: the features of something else: {differences}")

    def _read_index(self, path: Path) -> dict[str, Any]:
        index = _read_object(path)
        images, digest = index.get("images"), index.get("sha256")
        if not isinstance(images, dict) or not images or not isinstance(digest, str):
            raise ValueError(f"{path}: expected 'images' and 'sha256', found {index!r:.200}. {_remedy(path)}")
        if index.get("identity") != _digest(self.identity):
            raise ValueError(f"{path}: expected a shard of this cache, found one of another. {_remedy(path)}")
        return index

    def _note(self, shard: Path, index: dict[str, Any]) -> None:
        self._index[shard] = index
        self._verified.discard(shard)
        self._open.pop(shard, None)
        self._shard_of |= dict.fromkeys(index["images"], shard)

    def _verify(self, shard: Path) -> None:
        path, expected = shard / WEIGHTS, self._index[shard]["sha256"]
        if not path.is_file():
            raise ValueError(f"{path}: expected the features that {INDEX} names, found none. {_remedy(path)}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise ValueError(
                f"{path}: expected SHA-256 {expected}, found {found} ({path.stat().st_size} bytes): "
                f"the shard is half written or was changed. {_remedy(path)}"
            )
        self._verified.add(shard)

    def _tensors(self, shard: Path) -> Any:
        if shard not in self._verified:
            self._verify(shard)
        if shard not in self._open:
            self._open[shard] = safetensors.safe_open(shard / WEIGHTS, "pt")
            if len(self._open) > _OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(shard)
        return self._open[shard]


def _numbered(key: str, levels: Sequence[Tensor]) -> Iterable[tuple[str, Tensor]]:
    return ((f"{key}.{number}", level) for number, level in enumerate(levels))


def _digest(identity: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()


def _remedy(path: Path) -> str:
    return f"Delete the folder {path.parent}: its features are then computed again"


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected a JSON object, found damaged text: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content
