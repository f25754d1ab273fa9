"""Write an image index from a stream of entries."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from monai_lora_sam.files import atomic_file
from monai_lora_sam.index.image_index import IndexedImage
from monai_lora_sam.index.parquet import COLUMNS, parquet

#: Rows that are written, and read, at once: about one megabyte.
ROWS_AT_ONCE = 8192


def write_index(path: str | Path, images: Iterable[IndexedImage]) -> Path:
    """Write an index whole or not at all; memory holds 8192 entries, however many there are.

    Args:
        path: of the Parquet file. Paths of images below its folder are written relative to it, others absolute.
        images: a stream of entries.

    Returns:
        The path.

    Raises:
        ValueError: pyarrow is missing.

    Example:
        >>> write_index("images.parquet", [IndexedImage("a", "images/a.png", 3, None)])  # doctest: +SKIP
        PosixPath('images.parquet')
    """
    pyarrow, pq = parquet()
    path = Path(path)
    schema = pyarrow.schema([pyarrow.field(name, kind, empty) for name, (kind, empty) in COLUMNS.items()])
    folder = os.path.join(os.path.abspath(path.parent), "")
    with atomic_file(path) as temporary, pq.ParquetWriter(temporary, schema, use_dictionary=False) as writer:
        stream = iter(images)
        while rows := list(islice(stream, ROWS_AT_ONCE)):
            columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
            columns["path"] = [_stored(row.path, folder) for row in rows]
            writer.write_table(pyarrow.Table.from_pydict(columns, schema))
    return path


def _stored(path: str | Path, folder: str) -> str:
    absolute = os.path.abspath(path)
    return (absolute.removeprefix(folder)).replace(os.sep, "/")
