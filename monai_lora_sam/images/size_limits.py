"""Limits of the size of pictures, checked before their pixels are decoded."""

from __future__ import annotations

#: Pixels of a frame: 64 million, 8000 x 8000. A mammogram has 14 million; a file of a few kilobytes can announce
#: billions.
MAXIMUM_PIXELS = 64_000_000
#: Pixels of all frames of a file: 2 GB at two bytes each, a cine of 1000 frames of 1000 x 1000.
MAXIMUM_STACK_PIXELS = 1_000_000_000

TOO_LARGE = f"expected at most {MAXIMUM_PIXELS // 10**6} million pixels a frame"


def check_size(rows: int, columns: int, frames: int = 1) -> None:
    """Raise a ``ValueError`` if a picture is empty or larger than the limits."""
    if min(rows, columns, frames) < 1:
        raise ValueError(
            f"expected at least one pixel, found {frames} frames of {rows}x{columns} (rows x columns)"
        )
    if rows * columns > MAXIMUM_PIXELS:
        raise ValueError(f"{TOO_LARGE}, found {rows}x{columns} (rows x columns)")
    if frames * rows * columns > MAXIMUM_STACK_PIXELS:
        raise ValueError(
            f"expected at most {MAXIMUM_STACK_PIXELS // 10**6} million pixels in all frames, found {frames} frames of "
            f"{rows}x{columns} (rows x columns)"
        )
