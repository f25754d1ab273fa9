"""Data set of items with stored features: an epoch of head training runs no encoder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from monai.data import Dataset
from monai.transforms import Compose, Randomizable
from monai.transforms.traits import RandomizableTrait
from monai.utils import convert_to_tensor
from torch import Tensor
from tqdm import tqdm

from monai_lora_sam.data.feature_cache import FeatureCache, Features, image_key, to_float16

Read = Callable[..., Features]
SHARD_BYTES = 64 * 2**20


class FeatureDataset(Randomizable, Dataset):
    """Yield each item with the features of its image, computed once and kept in a :class:`FeatureCache`.

    Stored features cannot be augmented. Augmented variants of each image are therefore stored beforehand: variant 0
    skips the random transforms; ``variants`` more are drawn, each seeded by the image and the variant's number. An
    epoch is as long as the data; each access to an item draws one of its variants.

    The constructor computes missing features; the processes of a distributed run share the work. A killed run
    continues after its last whole shard.

    Args:
        data: entries of a datalist.
        transform: turns an entry into an item with an ``image`` (3, H, W) and the conditions where known.
        cache: holds the features.
        read: turns images (B, 3, H, W) and conditions, as keyword arguments, into features: a tensor (B, C, h, w)
            or a list of tensors. Called without gradients.
        condition_keys: keys of the items that ``read`` takes beside the images; None for an item without them.
        variants: number of augmented variants stored for each image, besides the image itself.
        keep_image: keep ``image`` in the items, for heads that read it too.
        cache_rate: share of the items, without their features, that is kept in memory.
        batch_size: images in a call of ``read``.
        device: device of the images given to ``read``.
        seed: seed of the variants.
        shard_bytes: size at which a shard is closed.
        progress: draw a bar.

    Raises:
        ValueError: no entries, a negative number of variants, features that are not finite or do not fit float16
            (the image is named), a full disk, or a damaged cache.

    Example:
        >>> cache = FeatureCache.under("features", feature_identity(network))  # doctest: +SKIP
        >>> items = FeatureDataset(entries, transform, cache, detector.read)  # doctest: +SKIP
        >>> items[0]["features"].dtype  # doctest: +SKIP
        torch.float16
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        transform: Compose,
        cache: FeatureCache,
        read: Read,
        *,
        condition_keys: Sequence[str] = (),
        variants: int = 0,
        keep_image: bool = False,
        cache_rate: float = 1.0,
        batch_size: int = 4,
        device: torch.device | str = "cpu",
        seed: int = 0,
        shard_bytes: int = SHARD_BYTES,
        progress: bool = True,
    ) -> None:
        super().__init__(data, transform)
        if not data:
            raise ValueError(f"{cache.folder}: expected images to read features of, found none")
        if variants < 0:
            raise ValueError(f"variants: expected 0 or more, found {variants}")
        self.cache = cache
        self.variants = variants
        self.keep_image = keep_image
        self.seed = seed
        flat = transform.flatten()
        plain = [step for step in flat.transforms if not isinstance(step, RandomizableTrait)]
        self._plain, self._augmented = Compose(plain), flat
        self._variant = 0
        self._keys: list[str] = []
        self._items: list[dict[str, Any] | None] = []
        filler = _Filler(cache, read, condition_keys, batch_size, device, shard_bytes)
        total = len(data) * (variants + 1)
        with tqdm(total=total, desc="reading features", disable=not progress, leave=False) as bar:
            for number in range(total):
                item = self._make(number)
                where = str(data[number % len(data)].get("image"))
                self._keys.append(filler.offer(item, where, total - number - len(cache)))
                self._items.append(self._slim(item) if number < int(total * cache_rate) else None)
                bar.update()
            filler.finish()
        if idist.get_world_size() > 1:
            idist.barrier()
            cache.refresh()
        cache.verify(self._keys, progress)

    def randomize(self, data: Any = None) -> None:
        """Draw the number of a variant."""
        self._variant = int(self.R.randint(self.variants + 1)) if self.variants else 0

    def _transform(self, index: int) -> dict[str, Any]:
        self.randomize()
        number = self._variant * len(self.data) + range(len(self.data))[index]
        item = self._items[number]
        if item is None:
            item = self._slim(self._make(number))
        return {**item, "features": self.cache[self._keys[number]]}

    def _make(self, number: int) -> dict[str, Any]:
        """Return an item with its image; numbers run through variant 0 of all entries, then variant 1 of all …"""
        variant, index = divmod(number, len(self.data))
        entry = self.data[index]
        if variant == 0:
            return self._plain(entry)
        # By content where the image is a file: variants stay the same when folder or order change.
        path = entry.get("image")
        content = Path(path).read_bytes() if isinstance(path, str | Path) else str(index).encode()
        mark = hashlib.sha256(f"{self.seed}/{variant}/".encode() + content).digest()
        self._augmented.set_random_state(seed=int.from_bytes(mark[:4], "big"))
        return self._augmented(entry)

    def _slim(self, item: dict[str, Any]) -> dict[str, Any]:
        return item if self.keep_image else {key: item[key] for key in item if key != "image"}


class _Filler:
    """Collect images whose features are missing, read them in batches, write them in shards."""

    def __init__(
        self,
        cache: FeatureCache,
        read: Read,
        condition_keys: Sequence[str],
        batch_size: int,
        device: torch.device | str,
        shard_bytes: int,
    ) -> None:
        self.cache, self.read, self.batch_size, self.device = cache, read, batch_size, device
        self.condition_keys, self.shard_bytes = condition_keys, shard_bytes
        self.waiting: dict[str, tuple[Tensor, dict[str, Tensor | None], str]] = {}
        self.done: dict[str, Features] = {}
        self.bytes = 0
        self.asked_for_room = False

    def offer(self, item: dict[str, Any], where: str, left: int) -> str:
        """Queue an image whose features may be missing and return its key; about ``left`` more images follow."""
        conditions = {name: item.get(name) for name in self.condition_keys}
        key = image_key(item["image"], conditions)
        if key in self.cache or key in self.waiting or key in self.done:
            return key
        if int(key[:8], 16) % idist.get_world_size() != idist.get_rank():
            return key  # another process reads it
        image = convert_to_tensor(item["image"], track_meta=False)
        if self.waiting:
            other_image, others, _ = next(iter(self.waiting.values()))
            if other_image.shape != image.shape or _known(others) != _known(conditions):
                self.read_waiting(left)
        self.waiting[key] = (image, conditions, where)
        if len(self.waiting) >= self.batch_size:
            self.read_waiting(left)
        return key

    def finish(self) -> None:
        """Read and write the remaining images."""
        if self.waiting:
            self.read_waiting(0)
        self.write()

    def read_waiting(self, left: int) -> None:
        images, conditions, places = zip(*self.waiting.values(), strict=True)
        known = _known(conditions[0])
        batch = {
            name: torch.stack([given[name] for given in conditions]).to(self.device)
            if name in known
            else None
            for name in self.condition_keys
        }
        with torch.no_grad():
            features = self.read(torch.stack(images).to(self.device), **batch)
        single = isinstance(features, Tensor)
        levels = [features] if single else features
        for row, (key, where) in enumerate(zip(self.waiting, places, strict=True)):
            halves = [to_float16(level[row], where) for level in levels]
            self.done[key] = halves[0] if single else halves
            self.bytes += sum(2 * half.numel() for half in halves)
        if not self.asked_for_room:
            self.ask_for_room(self.bytes // len(self.done) * max(left, 0) // idist.get_world_size())
        self.waiting = {}
        if self.bytes >= self.shard_bytes:
            self.write()

    def ask_for_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.cache.folder).free
        if needed > free:
            raise ValueError(
                f"{self.cache.folder}: expected {needed / 1e9:.1f} GB of free disk for the features, "
                f"found {free / 1e9:.1f} GB"
            )
        self.asked_for_room = True

    def write(self) -> None:
        if self.done:
            self.cache.add(self.done)
        self.done, self.bytes = {}, 0


def _known(conditions: Mapping[str, Tensor | None]) -> set[str]:
    return {name for name, value in conditions.items() if value is not None}
