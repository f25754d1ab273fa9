"""Read label images and check their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_lora_sam.images.image_files import read_frame, to_grey


def read_label(path: str | Path, classes: int) -> np.ndarray:
    """Read class indices 0..classes-1 as (H, W) uint8, rows first.

    With 2 classes a mask saved as 0/255 is read as 0/1; no other value is mapped.

    Args:
        path: a picture of integers, see `read_image` for formats.
        classes: number of classes, background included.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is unreadable, or its values are not integers or no classes.

    Example:
        >>> read_label("mask.png", classes=2).max()  # doctest: +SKIP
        1
    """
    array = read_frame(path)
    grey = to_grey(array)
    if not np.issubdtype(grey.dtype, np.integer):
        raise ValueError(f"{path}: expected integer labels, found {array.dtype} or colours")
    values = np.unique(grey)
    if classes == 2 and values[-1] == 255 and set(values.tolist()) <= {0, 255}:
        return (grey > 0).astype(np.uint8)
    unknown = values[(values < 0) | (values >= classes)]
    if unknown.size:
        raise ValueError(
            f"{path}: expected labels 0..{classes - 1}{' or 0/255' if classes == 2 else ''}, "
            f"found {unknown[:10].tolist()}{' and more' if unknown.size > 10 else ''}"
        )
    return grey.astype(np.uint8)
