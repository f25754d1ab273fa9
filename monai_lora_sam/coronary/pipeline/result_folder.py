"""Give each image a folder of results that no other image has, and tell whether it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_lora_sam.coronary.report import SCHEMA
from monai_lora_sam.files import printable

REPORT = "report.json"
#: Characters of a folder's name: file systems of 255 bytes leave room for the names of temporary files.
_LONGEST_NAME = 100
#: Names that Windows keeps for devices.
_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)),
}


def folder_name(text: str) -> str:
    """Return a text as the name of a folder that every file system takes and that leads nowhere else.

    Example:
        >>> folder_name("..."), folder_name("RCA: 30/20 "), folder_name("con")
        ('image', 'RCA_ 30_20', '_con')
    """
    name = (
        re.sub(r'[\x00-\x1f<>:"/\\|?*\ufffd]', "_", printable(text)).strip(" .")[:_LONGEST_NAME].strip(" .")
    )
    if name.partition(".")[0].lower() in _DEVICES:
        return f"_{name}"
    return name or "image"


def _candidates(path: Path) -> Iterator[tuple[str, int]]:
    """Return names for the results of an image, shortest first, without end, each with its number or 0."""
    stem, _, suffix = path.name.removesuffix(".gz").rpartition(".")
    stem = stem or path.name
    yield folder_name(stem), 0
    if suffix:
        yield folder_name(f"{stem}_{suffix}"), 0
    parent = f"{path.parent.name}_{stem}" if path.parent.name else stem
    yield folder_name(parent), 0
    number = 2
    while True:
        yield f"{folder_name(parent)}_{number}", number
        number += 1


class ResultFolders:
    """Hand out folders of results, one an image, that stay the same from run to run.

    An image gets the folder that an earlier run gave it: of the same content, the same file name and the same place,
    or of a place where nothing is any more. Otherwise it gets one that does not exist yet: the results of another
    image, and anything else that lies there, are never overwritten.

    Args:
        out: folder of all results.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._taken: set[str] = set()  # without case, as some file systems see names

    def claim(self, path: Path, content: str) -> str:
        """Return the name of the folder of an image.

        Args:
            path: the image.
            content: SHA-256 of its bytes.
        """
        free: str | None = None
        for name, number in _candidates(path):
            if name.lower() in self._taken:
                continue
            exists = os.path.lexists(self.out / name)
            if not exists:
                free = free or name
            elif _is_own(read_report(self.out / name), path, content):
                return self._take(name)
            if number and not exists:
                break  # no earlier run went on to higher numbers
        assert free is not None
        return self._take(free)

    def take(self, name: str) -> str:
        """Return a name that follows from the content alone, noting that it is taken."""
        return self._take(name)

    def _take(self, name: str) -> str:
        self._taken.add(name.lower())
        return name


def _is_own(report: Mapping[str, Any] | None, path: Path, content: str) -> bool:
    run = (report or {}).get("run")
    if not isinstance(run, Mapping) or run.get("image") != content:
        return False
    source = str(run.get("source"))
    return source == printable(path) or (
        Path(source).name == printable(path.name) and not os.path.lexists(source)
    )


def read_report(folder: Path) -> dict[str, Any] | None:
    """Return the report in a folder of results, or None where there is none that can be read."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) and report.get("schema") == SCHEMA else None


def whole_report(folder: Path) -> dict[str, Any] | None:
    """Return the report of results whose files all have the bytes that were written, or None."""
    report = read_report(folder)
    run = (report or {}).get("run")
    files = run.get("files") if isinstance(run, dict) else None
    if not isinstance(files, dict) or not files:
        return None
    whole = all(
        Path(name).name == name and (folder / name).is_file() and sha256(folder / name) == expected
        for name, expected in files.items()
    )
    return report if whole else None


def keep_other_files(folder: Path, fresh: Path) -> None:
    """Copy what a user has laid into a folder of results beside its new results."""
    if not folder.is_dir():
        return
    run = (read_report(folder) or {}).get("run") or {}
    for path in folder.iterdir():
        if path.name == REPORT or path.name in run.get("files", {}) or (fresh / path.name).exists():
            continue
        if path.is_dir():
            shutil.copytree(path, fresh / path.name, symlinks=True)
        else:
            shutil.copy2(path, fresh / path.name, follow_symlinks=False)


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of results besides the report, by name."""
    return {
        path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != REPORT
    }


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
