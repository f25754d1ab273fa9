"""Check places for output before the work whose results go there."""

from __future__ import annotations

import os
from pathlib import Path


def check_output_folder(folder: str | Path) -> None:
    """Refuse a place where no folder can be made or written to.

    Raises:
        NotADirectoryError: the place or a folder above it is a file.
        PermissionError: the folder, or the nearest one above that exists, is not writable.
    """
    folder = Path(folder)
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there}: expected a folder or nothing, found a file")
    if not os.access(there, os.W_OK):
        raise PermissionError(f"{there}: expected a folder that can be written to, found one that cannot")


def check_output_file(file: str | Path) -> None:
    """Refuse a place where no file can be written.

    Raises:
        IsADirectoryError: the place is a folder.
        NotADirectoryError, PermissionError: as of :func:`check_output_folder`, of the folder around it.
    """
    file = Path(file)
    if file.is_dir():
        raise IsADirectoryError(f"{file}: expected a file or nothing, found a folder")
    check_output_folder(file.parent)


def printable(path: str | Path) -> str:
    """Return a path as text that can be written as UTF-8; bytes that are none become a replacement sign."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
