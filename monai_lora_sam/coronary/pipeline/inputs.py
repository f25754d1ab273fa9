"""Find the angiograms in files and folders, and name the folder of results of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from monai_lora_sam.coronary.dicom import non_angiogram_class
from monai_lora_sam.images import is_image_name


class FoundImages(NamedTuple):
    """Hold the images found in files and folders.

    Attributes:
        images: each with a name of its own for its results.
        skipped: DICOM files in folders that are no angiograms, each with its kind.
    """

    images: list[tuple[Path, str]]
    skipped: list[tuple[Path, str]]


def find_images(inputs: Sequence[str | Path], out: str | Path | None = None) -> FoundImages:
    """List the images in files and folders, each with a name of its own for its results.

    The name is the file's stem; where two would be equal, the rest of the path joins it. In folders a file without
    extension counts if it is DICOM by content. Left out of folders are: `out` and other folders of results; hidden
    files; DICOM files that by their header are no angiograms (dose reports, presentation states, other modalities,
    DICOMDIR), which are listed with their kind. A file that is given itself is always taken.

    Raises:
        FileNotFoundError: if an input does not exist or a folder holds no image.
    """
    results = None if out is None else Path(out).resolve()
    paths: list[Path] = []
    skipped: dict[Path, str] = {}
    for given in map(Path, inputs):
        if given.is_dir():
            found = _images_in(given, results)
            others = {path: kind for path in found if (kind := _other_kind(path)) is not None}
            skipped |= {path.resolve(): f"not an angiogram ({kind})" for path, kind in others.items()}
            found = [path for path in found if path not in others]
            if not found:
                kinds = ", ".join(sorted(set(others.values())))
                raise FileNotFoundError(
                    f"{given}: expected images (PNG, JPEG, TIFF, NIfTI, DICOM), found "
                    + (f"{len(others)} DICOM files that are no angiograms ({kinds})" if others else "none")
                )
            paths += found
        elif given.is_file():
            paths.append(given)
        else:
            raise FileNotFoundError(f"{given}: expected a file or a folder, found nothing")
    paths = list(dict.fromkeys(path.resolve() for path in paths))
    return FoundImages(_named(paths), [one for one in skipped.items() if one[0] not in paths])


def _named(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    names: dict[str, Path] = {}
    for path in paths:
        stem = path.name.removesuffix(".gz").rsplit(".", 1)[0] or path.name
        name = stem
        if name in names:
            name = f"{stem}_{path.suffix[1:]}"
        number = 2
        while name in names:
            name = f"{path.parent.name}_{stem}_{number}"
            number += 1
        names[name] = path
    return [(path, name) for name, path in names.items()]


def _images_in(folder: Path, results: Path | None) -> list[Path]:
    """Return the images in a folder and its subfolders."""
    return sorted(path for path in _files_below(folder, results) if _is_image(path))


def _files_below(folder: Path, results: Path | None) -> Iterator[Path]:
    if _holds_results(folder):
        return
    for path in folder.iterdir():
        if path.name.startswith("."):  # of the system, or half written
            continue
        if not path.is_dir():
            yield path
        elif not path.is_symlink() and path.resolve() != results:  # a link may lead back up
            yield from _files_below(path, results)


def _holds_results(folder: Path) -> bool:
    """Say whether a run wrote this folder, finished or not."""
    if all((folder / name).is_file() for name in ("vessels.png", "probability.npz")):
        return True
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and str(report.get("schema")).startswith("monai-lora-sam/report/")


def _is_image(path: Path) -> bool:
    if not path.is_file():
        return False
    if is_image_name(path):
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _other_kind(path: Path) -> str | None:
    if path.name == "DICOMDIR":
        return "DICOMDIR"
    with path.open("rb") as file:
        head = file.read(132)
    named = path.suffix.lower() in (".dcm", ".dicom", ".ima")
    return non_angiogram_class(path) if named or head[128:] == b"DICM" else None
