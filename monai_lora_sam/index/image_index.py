"""Read an image index a few rows at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from monai_lora_sam.index.parquet import COLUMNS, parquet


@dataclass(frozen=True)
class IndexedImage:
    """Name one image.

    Attributes:
        id: unique in its index.
        path: of the file.
        size: in bytes; None where the file could not be read when it was listed.
        hash: SHA-256 of the file's bytes; None where they were not read.
    """

    id: str
    path: str
    size: int | None
    hash: str | None


class ImageIndex:
    """Read a Parquet file with the columns ``id``, ``path``, ``size`` and ``hash``.

    Only the rows that are asked for are read, so that an index of any length takes the same memory. Relative paths
    are taken from the index's folder.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no Parquet, other columns, no rows, or pyarrow is missing; the file is named.

    Example:
        >>> index = ImageIndex("images.parquet")  # doctest: +SKIP
        >>> len(index), index.rows(0, 1)[0].path  # doctest: +SKIP
        (1000000, '/data/study/1.png')
    """

    def __init__(self, path: str | Path) -> None:
        pyarrow, pq = parquet()
        self.path = Path(path)
        if not self.path.is_file():
            found = "a folder" if self.path.is_dir() else "nothing"
            raise FileNotFoundError(
                f"{self.path}: expected an index (monai-lora-sam prepare index), found {found}"
            )
        try:
            # A file of its own for each reader: threads and forked processes would share a place in it.
            self._file = pq.ParquetFile(self.path)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"{self.path}: expected an index in Parquet, found a damaged file: {reason}"
            ) from error
        columns = {field.name: str(field.type) for field in self._file.schema_arrow}
        wanted = {name: kind for name, (kind, _) in COLUMNS.items()}
        if any(columns.get(name) != kind for name, kind in wanted.items()):
            raise ValueError(f"{self.path}: expected the columns {wanted}, found {columns}")
        metadata = self._file.metadata
        groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        self._starts = np.cumsum([0, *groups])
        if not len(self):
            raise ValueError(f"{self.path}: expected images, found an index without rows")
        self._group = lru_cache(2)(self._read_group)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def rows(self, start: int, stop: int) -> list[IndexedImage]:
        """Return the images of the rows from `start` up to `stop`, without it.

        Raises:
            IndexError: rows that the index does not have.
            ValueError: a damaged file.
        """
        if not 0 <= start < stop <= len(self):
            raise IndexError(f"{self.path}: expected rows of 0 to {len(self)}, found {start} to {stop}")
        found: list[IndexedImage] = []
        first, last = np.searchsorted(self._starts, [start, stop - 1], side="right") - 1
        for group in range(first, last + 1):
            base, rows = int(self._starts[group]), self._group(group)
            found += rows[max(start - base, 0) : stop - base]
        return [IndexedImage(row.id, str(self.path.parent / row.path), row.size, row.hash) for row in found]

    def _read_group(self, number: int) -> list[IndexedImage]:
        try:
            columns: dict[str, list[Any]] = self._file.read_row_group(number, list(COLUMNS)).to_pydict()
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"{self.path}: expected an index in Parquet, found a damaged file: {reason}"
            ) from error
        empty = [name for name, (_, may) in COLUMNS.items() if not may and None in columns[name]]
        if empty:
            raise ValueError(f"{self.path}: expected an {empty[0]} in each row, found a row without")
        return [IndexedImage(*row) for row in zip(*(columns[name] for name in COLUMNS), strict=True)]
