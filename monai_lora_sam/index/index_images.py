"""List the images in folders, with size and hash, as an index."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_lora_sam.files import map_ahead
from monai_lora_sam.index.find_images import FoundImage, LeftOut, find_images
from monai_lora_sam.index.image_index import IndexedImage
from monai_lora_sam.index.write_index import write_index

#: Threads that read and hash files: hashing gives the interpreter's lock back.
THREADS = 4
#: Files that are read ahead of the one that is written.
AHEAD = 64
#: Left out files, and unreadable ones, that a summary names; it counts all.
NAMED = 20


@dataclass
class IndexSummary:
    """Count the images of an index.

    Attributes:
        images: rows of the index.
        bytes: of all files that could be read.
        unreadable: rows whose file could not be read: without size and hash.
        left_out: files and folders that are not in the index.
        first_unreadable, first_left_out: at most 20 of each, with the reason.
    """

    images: int = 0
    bytes: int = 0
    unreadable: int = 0
    left_out: int = 0
    first_unreadable: list[LeftOut] = field(default_factory=list)
    first_left_out: list[LeftOut] = field(default_factory=list)


def index_images(
    sources: Sequence[str | Path],
    out: str | Path,
    progress: Callable[[int], Any] = lambda done: None,
) -> IndexSummary:
    """Write an index of the images in files, folders, COSMOS-1050K and trees of DICOM files.

    The images stream through: memory does not grow with their number. A file that cannot be read stays in the index,
    without size and hash, so that it is not lost.

    Args:
        sources: see :func:`find_images`.
        out: Parquet file to write, see :func:`write_index`.
        progress: called with the number of images read.

    Returns:
        How many images there are, and what was left out.

    Raises:
        FileNotFoundError: no such source, or no image in them.
        ValueError: see :func:`find_images`; pyarrow is missing.

    Example:
        >>> index_images(["study"], "images.parquet").images  # doctest: +SKIP
        1000
    """
    summary = IndexSummary()

    def note(one: LeftOut) -> None:
        summary.left_out += 1
        summary.first_left_out += [one][: NAMED - len(summary.first_left_out)]

    found = find_images(sources, note)

    def entries() -> Iterator[IndexedImage]:
        for image, error in map_ahead(_read, found, THREADS, AHEAD):
            summary.images += 1
            summary.bytes += image.size or 0
            if error is not None:
                summary.unreadable += 1
                summary.first_unreadable += [LeftOut(image.path, error)][
                    : NAMED - len(summary.first_unreadable)
                ]
            progress(summary.images)
            yield image
        if not summary.images:
            raise FileNotFoundError(f"{sources[0]}: expected images, found none")

    write_index(out, entries())
    return summary


def _read(image: FoundImage) -> tuple[IndexedImage, str | None]:
    try:
        with open(image.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return IndexedImage(image.id, image.path, file.tell(), digest), None
    except OSError as error:
        reason = f"expected a file that can be read, found {error.strerror or error}"
        return IndexedImage(image.id, image.path, None, None), reason
