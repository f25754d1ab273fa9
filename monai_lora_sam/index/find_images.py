"""Find the images in folders as a stream."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_lora_sam.images import is_image_name, looks_like_dicom

#: Folder that tells a tree in the layout of COSMOS-1050K, whose images lie in folders of the name below.
COSMOS_MARK, COSMOS_IMAGES = "data_infor_json", "images"


@dataclass(frozen=True)
class FoundImage:
    """Name a file that looks like an image.

    Attributes:
        id: the path below its source, with the source's name before it where there are several.
        path: of the file.
    """

    id: str
    path: str


@dataclass(frozen=True)
class LeftOut:
    """Name a file or folder that is not listed, and why.

    Attributes:
        path: of it.
        reason: in words.
    """

    path: str
    reason: str


def find_images(
    sources: Sequence[str | Path], left_out: Callable[[LeftOut], object] = lambda one: None
) -> Iterator[FoundImage]:
    """Yield the images in files and folders, at any depth, each folder by name.

    A file counts as an image by the extension of its name, or if it begins as DICOM does. A folder with
    `data_infor_json` is one in the layout of COSMOS-1050K: only its folders `images` are searched. Hidden files and
    folders are passed over. Memory holds the names of the folders on the way to one file, so that it depends on the
    largest folder and not on the number of images.

    Args:
        sources: files and folders; none may lie in another.
        left_out: called with each file that is no image, and with links to folders, which are not followed.

    Raises:
        FileNotFoundError: no such source.
        ValueError: no source, two with the same name, or one inside another.

    Example:
        >>> [image.id for image in find_images(["study"])]  # doctest: +SKIP
        ['1.dcm', 'series 2/1.dcm']
    """
    roots = [Path(os.path.abspath(source)) for source in sources]
    if not roots:
        raise ValueError("expected a file or a folder of images, found none")
    for number, root in enumerate(roots):
        if not root.exists():
            raise FileNotFoundError(f"{root}: expected a file or a folder of images, found nothing")
        for other in roots[:number]:
            if root.is_relative_to(other) or other.is_relative_to(root):
                raise ValueError(f"{root}: expected folders apart from each other, found {other} as well")
            if root.name == other.name:
                raise ValueError(
                    f"{root}: expected sources of different names, since they begin the ids, found {other} as well"
                )
    return (image for root in roots for image in _in_source(root, len(roots) > 1, left_out))


def _in_source(root: Path, named: bool, left_out: Callable[[LeftOut], object]) -> Iterator[FoundImage]:
    before = f"{root.name}/" if named else ""
    if root.is_file():
        yield FoundImage(root.name, str(root))
        return
    only_images = (root / COSMOS_MARK).is_dir()
    for path in _files(str(root), left_out):
        below = os.path.relpath(path, root).replace(os.sep, "/")
        if only_images and COSMOS_IMAGES not in below.split("/")[:-1]:
            continue
        reason = _no_image(path)
        if reason is None:
            yield FoundImage(before + below, path)
        else:
            left_out(LeftOut(path, reason))


def _no_image(path: str) -> str | None:
    """Return why a file is not listed; None for an image, and for a file that cannot be looked into."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "expected a name in UTF-8"
    if is_image_name(Path(path)):
        return None
    try:
        is_image = os.path.basename(path) != "DICOMDIR" and looks_like_dicom(path)
    except OSError:
        return None
    return None if is_image else "expected an image, found another file"


def _files(folder: str, left_out: Callable[[LeftOut], object]) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                (one.name, one.is_dir(), one.is_symlink()) for one in entries if not one.name.startswith(".")
            )
    except OSError as error:
        left_out(LeftOut(folder, f"expected a folder that can be read: {error.strerror}"))
        return
    for name, is_folder, is_link in found:
        path = os.path.join(folder, name)
        if not is_folder:
            yield path
        elif is_link:
            left_out(LeftOut(path, "a link to a folder: name it as a source"))
        else:
            yield from _files(path, left_out)
