"""Find the angiograms in files and folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from monai_lora_sam.coronary.dicom import non_angiogram_class
from monai_lora_sam.images import detect_format, is_image_name

#: Files that a run writes over all images.
OVER_ALL = ("index.html", "images.csv", "lesions.csv")


class FoundImages(NamedTuple):
    """Hold the images found in files and folders.

    Attributes:
        images: each once.
        skipped: files and folders that were left out, each with the reason.
    """

    images: list[Path]
    skipped: list[tuple[Path, str]]


def find_images(inputs: Sequence[str | Path], out: str | Path | None = None) -> FoundImages:
    """List the images in files and folders.

    In folders a file counts if it has an extension of pictures or is one by content. Files of folders that are left
    out are listed with the reason: other files, DICOM files that by their header are no angiograms (dose reports,
    presentation states, other modalities, DICOMDIR), what cannot be read, links to folders. Not listed are `out` and
    other folders of results, and hidden files. A file that is given itself is always taken.

    Raises:
        FileNotFoundError: if an input does not exist or a folder holds no image.
    """
    results = None if out is None else Path(out).resolve()
    paths: list[Path] = []
    skipped: dict[Path, str] = {}
    for given in map(Path, inputs):
        if given.is_dir():
            found = {path: _reason_to_skip(path, reason) for path, reason in _files_below(given, results)}
            left_out = {path: reason for path, reason in found.items() if reason}
            skipped |= {path.absolute(): reason for path, reason in left_out.items()}
            if len(left_out) == len(found):
                reasons = ", ".join(sorted(set(left_out.values()))[:5])
                raise FileNotFoundError(
                    f"{given}: expected images (PNG, JPEG, TIFF, NIfTI, DICOM), found "
                    + (f"{len(left_out)} other files ({reasons})" if left_out else "none")
                )
            paths += sorted(path for path, reason in found.items() if not reason)
        elif given.is_file():
            paths.append(given)
        else:
            raise FileNotFoundError(f"{given}: expected a file or a folder, found nothing")
    paths = list(dict.fromkeys(path.resolve() for path in paths))
    return FoundImages(paths, [one for one in skipped.items() if one[0] not in paths])


def _files_below(folder: Path, results: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield the files in a folder and its subfolders, and what cannot be searched with the reason."""
    if _holds_results(folder):
        return
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield folder, f"a folder that cannot be read ({error.strerror})"
        return
    for path in entries:
        if path.name.startswith(".") or (folder.resolve() == results and path.name in OVER_ALL):
            continue  # of the system, half written, or of an earlier run
        try:
            is_folder, is_link = path.is_dir(), path.is_symlink()
        except OSError as error:
            yield path, f"cannot be read ({error.strerror})"
            continue
        if not is_folder:
            yield path, ""
        elif is_link:  # it may lead back up
            yield path, "a link to a folder"
        elif path.resolve() != results:
            yield from _files_below(path, results)


def _reason_to_skip(path: Path, reason: str) -> str:
    """Return why a file of a folder is left out, or "" if it is to be analysed."""
    if reason:
        return reason
    try:
        if not path.is_file():
            return "a link to nothing" if path.is_symlink() else "no file"
        if path.name == "DICOMDIR":
            return "not an angiogram (DICOMDIR)"
        try:
            kind = detect_format(path)
        except ValueError:
            return "" if is_image_name(path) else "not a picture"
        other = non_angiogram_class(path) if kind == "DICOM" else None
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if other is None else f"not an angiogram ({other})"


def _holds_results(folder: Path) -> bool:
    """Say whether a run wrote this folder, finished or not."""
    if all((folder / name).is_file() for name in ("vessels.png", "probability.npz")):
        return True
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(report, dict) and str(report.get("schema")).startswith("monai-lora-sam/report/")
