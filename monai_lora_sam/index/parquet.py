"""The columns of an image index, and the package that reads them."""

from __future__ import annotations

from types import ModuleType

#: Column of an index → its type in Arrow, and whether a row may lack it, as those of unreadable files do.
COLUMNS = {
    "id": ("string", False),
    "path": ("string", False),
    "size": ("int64", True),
    "hash": ("string", True),
}


def parquet() -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and its module for Parquet.

    Raises:
        ValueError: pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(
            f"an image index needs pyarrow, found {error}: pip install 'monai-lora-sam[scale]'"
        ) from error
    return pyarrow, pyarrow.parquet
