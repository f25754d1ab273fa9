"""Write the figures of many images as CSV, one file of images and one of lesions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.files import atomic_write

IMAGES, LESIONS = "images.csv", "lesions.csv"
#: Beginnings of a text that a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_tables(folder: Path, reports: Sequence[Path], failures: Sequence[tuple[str, str]] = ()) -> None:
    """Write `images.csv` and `lesions.csv` over the reports of many images; a field without a figure is empty.

    Args:
        folder: gets the two files.
        reports: folders that `write_report` wrote.
        failures: (name, error) of each image that failed; these rows of `images.csv` come last.
    """
    images: list[dict[str, Any]] = []
    lesions: list[dict[str, Any]] = []
    for place in reports:
        report = json.loads((Path(place) / "report.json").read_text(encoding="utf-8"))
        found = [_plain(row) for row in report.get("lesions") or []]
        own = {"image": report["image"]["file"], "folder": Path(place).name}
        measured = [
            row["percent_diameter_stenosis"]
            for row in found
            if row.get("percent_diameter_stenosis") is not None
        ]
        images.append(
            {
                **own,
                "status": "done",
                **{key: value for key, value in _plain(report["image"]).items() if key != "file"},
                **_plain(report["vessels"]),
                "segments": None if report.get("segments") is None else len(report["segments"]),
                "lesions": None if report.get("lesions") is None else len(found),
                "highest_percent_diameter_stenosis": max(measured, default=None),
                "warnings": " | ".join(report.get("warnings", [])),
            }
        )
        lesions += [{**own, **row} for row in found]
    images += [{"image": name, "status": "failed", "error": error} for name, error in failures]
    _write(Path(folder) / IMAGES, images, ["image", "folder", "status", "error"])
    _write(Path(folder) / LESIONS, lesions, ["image", "folder", "id", "segment", "percent_diameter_stenosis"])


def _plain(entry: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the figures and words of a report's entry, of entries inside it under joined names."""
    flat: dict[str, Any] = {}
    for key, value in entry.items():
        if isinstance(value, Mapping):
            flat |= _plain(value, f"{prefix}{key}_")
        elif not isinstance(value, list):
            flat[f"{prefix}{key}"] = value
        elif len(value) == 2 and all(isinstance(part, int | float) for part in value):
            flat |= {
                f"{prefix}{key}_{place}": part for place, part in zip(("first", "second"), value, strict=True)
            }
    return flat


def _write(path: Path, rows: Sequence[Mapping[str, Any]], first: Sequence[str]) -> None:
    columns = list(dict.fromkeys([*first, *(key for row in rows for key in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    atomic_write(path, text.getvalue())


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
