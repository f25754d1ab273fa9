"""Limits of the size of pictures, checked before their pixels are decoded."""

from __future__ import annotations

#: Pixels of a frame: 8192 x 8192, 67 million. A mammogram has 14 million; a file of a few kilobytes can announce
#: billions.
MAXIMUM_PIXELS = 8192 * 8192
#: Voxels of a volume: 2 GiB of float32, 2048 slices of 512 x 512.
MAXIMUM_VOXELS = 2**29
TOO_LARGE = f"expected at most {MAXIMUM_PIXELS} pixels a frame"


def check_size(rows: int, columns: int) -> None:
    """Raise a ``ValueError`` if a picture is empty or larger than the limit."""
    if min(rows, columns) < 1:
        raise ValueError(f"expected at least one pixel, found {rows}x{columns} (rows x columns)")
    if rows * columns > MAXIMUM_PIXELS:
        raise ValueError(f"{TOO_LARGE}, found {rows}x{columns} (rows x columns)")


def check_volume_size(rows: int, columns: int, slices: int) -> None:
    """Raise a ``ValueError`` if a volume is empty or larger than the limit."""
    check_size(rows, columns)
    if slices < 1:
        raise ValueError(f"expected at least one slice, found {slices}")
    if rows * columns * slices > MAXIMUM_VOXELS:
        raise ValueError(
            f"expected at most {MAXIMUM_VOXELS} voxels, found {rows}x{columns}x{slices} (rows x columns x slices)"
        )
