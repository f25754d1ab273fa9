"""Limits of the size of pictures, checked before their pixels are decoded."""

from __future__ import annotations

#: Pixels of a frame: 8192 x 8192, 67 million. A mammogram has 14 million; a file of a few kilobytes can announce
#: billions.
MAXIMUM_PIXELS = 8192 * 8192
TOO_LARGE = f"expected at most {MAXIMUM_PIXELS} pixels a frame"


def check_size(rows: int, columns: int) -> None:
    """Raise a ``ValueError`` if a picture is empty or larger than the limit."""
    if min(rows, columns) < 1:
        raise ValueError(f"expected at least one pixel, found {rows}x{columns} (rows x columns)")
    if rows * columns > MAXIMUM_PIXELS:
        raise ValueError(f"{TOO_LARGE}, found {rows}x{columns} (rows x columns)")
