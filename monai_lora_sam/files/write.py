"""Write one file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends without an error.

    A killed run leaves the old file or the new one, whole; an error inside the block leaves the old one.

    Args:
        path: the file to create or to replace; its parents are created.

    Example:
        >>> with atomic_file("scores.npz") as temporary:  # doctest: +SKIP
        ...     numpy.savez(temporary, dice=dice)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: some writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
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
