"""Write one file whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_lora_sam.files.leftovers import TAG, is_left_over, new_tag, siblings_of


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends without an error.

    A killed run leaves the old file or the new one, whole; an error inside the block leaves the old one. Temporary
    files that killed runs left for this same ``path`` are removed.

    Args:
        path: the file to create or to replace; its parents are created.

    Example:
        >>> with atomic_file("scores.npz") as temporary:  # doctest: +SKIP
        ...     numpy.savez(temporary, dice=dice)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The target's hash in place of its name: a long name stays valid. The suffix stays: some writers go by it.
    prefix, suffix = f".writing-{hashlib.sha256(path.name.encode()).hexdigest()[:12]}-", path.suffix
    for leftover, tag in siblings_of(path.parent, f"{prefix}(?P<tag>{TAG}).*"):
        if is_left_over(leftover, tag):
            leftover.unlink(missing_ok=True)
    temporary = path.with_name(f"{prefix}{new_tag()}{suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: str | Path, content: bytes | str) -> None:
    """Write a file whole or not at all; text is written as UTF-8.

    Example:
        >>> atomic_write("report.json", "{}")  # doctest: +SKIP
    """
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
