"""Build the data set of a bundle: preprocessed images in memory, or stored features on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import CacheDataset, Dataset
from monai.engines import PrepareBatchExtraInput
from monai.transforms import Compose
from monai.utils import convert_to_tensor
from torch import Tensor

from monai_lora_sam.data.feature_cache import FeatureCache
from monai_lora_sam.data.feature_dataset import FeatureDataset
from monai_lora_sam.networks import StageNetwork, feature_identity


def training_items(
    data: Sequence[dict[str, Any]],
    transform: Compose,
    network: StageNetwork,
    *,
    read: Callable[..., Any] | None = None,
    feature_cache: bool = False,
    feature_cache_dir: str | Path = "feature_cache",
    condition_keys: Sequence[str] = (),
    keep_image: bool | None = None,
    variants: int = 0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    batch_size: int = 4,
    cache_rate: float = 1.0,
    progress: bool = True,
) -> Dataset:
    """Return MONAI's ``CacheDataset``, or a :class:`FeatureDataset` of the features that the network's head reads.

    Args:
        data: entries of a datalist.
        transform: turns an entry into an item.
        network: the network on its device; a feature cache needs its strategy to be ``frozen``, or ``lora`` in the
            last blocks alone: what lies before them is stored.
        read: computes the features that are stored; the network's own ``read`` if None.
        feature_cache: return a :class:`FeatureDataset`.
        feature_cache_dir: folder with a cache for each combination of encoder, adapters and earlier heads.
        keep_image: keep the image beside stored features; None keeps it where the head reads it.
        condition_keys, variants, seed, batch_size, device: see :class:`FeatureDataset`; of no effect without a
            feature cache.
        cache_rate: share of the items that is kept in memory.
        progress: draw a bar.

    Raises:
        ValueError: a feature cache with a strategy that leaves no part of the encoder as it is.
    """
    if not feature_cache:
        return CacheDataset(data, transform, cache_rate=cache_rate, progress=progress)
    if network.fixed_blocks == 0:
        raise ValueError(
            "feature_cache: expected strategy 'frozen', or 'lora' with lora#layers, which leave a part of the encoder "
            f"as it is, found {network.strategy!r} in all of it"
        )
    if keep_image is None:
        keep_image = network.head_reads_image
    training = network.training
    network.eval()
    try:
        return FeatureDataset(
            data,
            transform,
            FeatureCache.under(feature_cache_dir, feature_identity(network)),
            read or network.read,
            condition_keys=condition_keys,
            variants=variants,
            keep_image=keep_image,
            cache_rate=cache_rate,
            batch_size=batch_size,
            device=device,
            seed=seed,
            progress=progress,
        )
    finally:
        network.train(training)


class PrepareBatchFeatures(PrepareBatchExtraInput):
    """Extend MONAI's ``PrepareBatchExtraInput`` by the stored features of a batch.

    Features move to the device in float16 and become float32 there. The network gets None for the image of a batch
    without images.

    Example:
        >>> PrepareBatchFeatures(extra_keys={"view": "view"})  # doctest: +SKIP
    """

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple, dict]:
        features = batchdata.get("features")
        if features is None:
            return super().__call__(batchdata, device, non_blocking, **kwargs)
        single = isinstance(features, Tensor)
        moved = [
            convert_to_tensor(level, track_meta=False).to(device=device, non_blocking=non_blocking).float()
            for level in ([features] if single else features)
        ]
        batch = {"image": torch.empty(0), **batchdata}
        image, label, positional, named = super().__call__(batch, device, non_blocking, **kwargs)
        named = {**named, "features": moved[0] if single else moved}
        return (image if "image" in batchdata else None), label, positional, named  # type: ignore[return-value]
