"""Find the objects of a picture or a volume that a network knows, without a prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from monai_lora_sam.images import Volume
from monai_lora_sam.networks import AdaptedSegmenter
from monai_lora_sam.prompting.object_prompt import Unprompted
from monai_lora_sam.prompting.segment_image import SegmentedObject
from monai_lora_sam.transforms import NormalizeForEncoderd, ResizeLongestSided


def to_square(network: AdaptedSegmenter, pixels: np.ndarray) -> tuple[Tensor, tuple[int, int]]:
    """Scale a picture into the encoder's square, pad and normalise it.

    Args:
        network: that segments it.
        pixels: (H, W, 3), 0..1.

    Returns:
        The image (1, 3, side, side), and the rows and columns of it that are not padded.

    Raises:
        ValueError: pixels that are not (H, W, 3).
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"expected pixels (H, W, 3), found the shape {pixels.shape}")
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))
    item = ResizeLongestSided("image", network.stack.encoder.image_size, size_key="size")({"image": image})
    rows, columns = item["size"].tolist()
    return NormalizeForEncoderd("image", network.stack.encoder)(item)["image"][None], (rows, columns)


def find_objects(
    network: AdaptedSegmenter, pixels: np.ndarray, class_names: Sequence[str]
) -> list[SegmentedObject]:
    """Segment every class but the background; each pixel belongs to one class.

    Args:
        network: in evaluation mode.
        pixels: (H, W, 3), 0..1.
        class_names: of the network's maps, background first; or the one name of its single map.

    Returns:
        One object for each class, in their order, whose mask may be empty.

    Raises:
        ValueError: another number of names than of maps, or pixels that are not (H, W, 3).

    Example:
        >>> find_objects(load_stage("adapters/drive/adapter"), pixels, ["background", "vessel"])  # doctest: +SKIP
    """
    square, (rows, columns) = to_square(network, pixels)
    with torch.inference_mode():
        logits = network(square.to(next(network.parameters()).device))[..., :rows, :columns]
        if logits.shape[1] != len(class_names):
            raise ValueError(f"expected names of {logits.shape[1]} maps, found {list(class_names)}")
        single = logits.shape[1] == 1
        probability = logits.sigmoid() if single else logits.softmax(1)
        probability = functional.interpolate(probability, pixels.shape[:2], mode="bilinear")[0].cpu()
    if single:
        return [SegmentedObject(Unprompted(class_names[0]), (probability[0] > 0.5).numpy(), None)]
    found = probability.argmax(0).numpy()
    return [
        SegmentedObject(Unprompted(name), found == index, None)
        for index, name in enumerate(class_names)
        if index > 0
    ]


def find_objects_in_volume(
    network: AdaptedSegmenter,
    volume: Volume,
    pixels: np.ndarray,
    class_names: Sequence[str],
    slices: tuple[int, int] | None = None,
    progress: bool = False,
) -> list[SegmentedObject]:
    """Segment every class in each slice of a volume, cut across its axis of largest distance as for training.

    Args:
        network: in evaluation mode.
        volume: as it was read.
        pixels: (H, W, D), 0..1, its intensities.
        class_names: see :func:`find_objects`.
        slices: first and last slice to segment; None for all.
        progress: show a bar of slices.

    Returns:
        Masks (H, W, D), one for each class.

    Raises:
        ValueError: slices outside the volume.
    """
    axis = volume.slice_axis
    moved = np.moveaxis(pixels, axis, 0)
    first, last = slices or (0, len(moved) - 1)
    if not 0 <= first <= last < len(moved):
        raise ValueError(f"slices: expected 0 <= FIRST <= LAST <= {len(moved) - 1}, found {first},{last}")
    masks: dict[str, np.ndarray] = {}
    for index in tqdm(range(first, last + 1), "slices", disable=not progress, leave=False):
        for one in find_objects(network, np.repeat(moved[index][..., None], 3, 2), class_names):
            masks.setdefault(one.prompt.name, np.zeros(moved.shape, bool))[index] = one.mask
    return [
        SegmentedObject(Unprompted(name), np.moveaxis(mask, 0, axis), None) for name, mask in masks.items()
    ]
