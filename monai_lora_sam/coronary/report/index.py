"""Write a page that lists the reports of many images."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from PIL import Image

from monai_lora_sam.report import Section, Table, Text, data_uri, write_page

THUMBNAIL_PX = 192  # twice the size shown, for fine screens


def write_index(
    folder: Path,
    reports: Sequence[Path],
    failures: Sequence[tuple[str, str]] = (),
    skipped: Sequence[tuple[str, str]] = (),
    confirmed: Mapping[str, Any] | None = None,
) -> None:
    """Write `index.html`: one row per image, failed images first.

    Args:
        folder: folder of the page.
        reports: folders that `write_report` wrote.
        failures: (name, error) of each image that failed.
        skipped: (name, reason) of each file that was left out; these rows come last.
        confirmed: SYNTAX score of lesions that a reader has confirmed, see
            :meth:`monai_lora_sam.coronary.qca.ConfirmedScore.to_json`; it gets a section of its own.

    Raises:
        FileNotFoundError: a folder has no report.

    Example:
        >>> write_index(Path("out"), [Path("out/1"), Path("out/2")], [("3.png", "not an image")])
    """
    folder = Path(folder)
    contents = [
        (Path(place), json.loads((Path(place) / "report.json").read_text(encoding="utf-8")))
        for place in reports
    ]
    marks = _marks([warning for _, report in contents for warning in report.get("warnings", [])])
    failed = Markup('<span class="failed">failed</span> {}')
    rows = [["", name, None, None, failed.format(message)] for name, message in failures]
    rows += [_row(folder, place, report, marks) for place, report in contents]
    rows += [["", name, None, None, f"skipped: {reason}"] for name, reason in skipped]
    counts = f"{len(reports)} done, {len(failures)} failed" + (f", {len(skipped)} skipped" if skipped else "")
    table = Table(["", "Image", "Lesions", "Segments", "Status"], rows)
    sections = [Section(counts, [table] if rows else [Text("No image.")])]
    if marks:
        listed = [[mark, text, count] for mark, text, count in marks.values()]
        sections.append(Section("Warnings", [Table(["", "Warning", "Images"], listed)]))
    if confirmed is not None:
        sections.append(_syntax_section(confirmed))
    write_page(folder / "index.html", "Angiograms", sections)


def _kind(warning: str) -> str:
    """Return a warning up to its colon and without its figures: many images share that."""
    return re.sub(r"\d+([.,]\d+)?", "…", warning.partition(": ")[0])


def _marks(warnings: Sequence[str]) -> dict[str, tuple[str, str, int]]:
    """Give each kind of warning a number and a text, in the order of their frequency."""
    counts = Counter(map(_kind, warnings))
    texts: dict[str, set[str]] = {kind: set() for kind in counts}
    for warning in warnings:
        texts[_kind(warning)].add(warning)
    return {
        kind: (str(number), next(iter(texts[kind])) if len(texts[kind]) == 1 else f"{kind}: see there", count)
        for number, (kind, count) in enumerate(counts.most_common(), 1)
    }


def _syntax_section(confirmed: Mapping[str, Any]) -> Section:
    """List the points of each lesion that a reader has confirmed."""
    rows: list[list] = []
    for lesion in confirmed["lesions"]:
        parts = [f"segment {segment}: {points:g}" for segment, points in lesion["segments"].items()]
        parts += [f"{name}: {points:g}" for name, points in lesion["adverse"].items()]
        reason = lesion.get("not_counted")
        points = f"not counted, {reason}" if reason else "; ".join(parts)
        rows.append([lesion["lesion"], lesion["percent_diameter_stenosis"], points, f"{lesion['points']:g}"])
    if confirmed["diffuse_points"]:
        rows.append([None, None, "diffuse disease", f"{confirmed['diffuse_points']:g}"])
    table = Table(["Lesion", "%DS", "Points of", "Points"], rows)
    note = Text("Of lesions whose segments and figures a reader has confirmed.")
    title = f"SYNTAX score {confirmed['syntax_score']:g}, {confirmed['dominance']} dominance"
    return Section(title, [note, table])


def _row(
    folder: Path, report_folder: Path, report: Mapping[str, Any], marks: Mapping[str, tuple[str, str, int]]
) -> list:
    link = quote(Path(os.path.relpath(report_folder / "report.html", folder)).as_posix())
    with Image.open(report_folder / "overlay.png") as picture:
        picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
    thumbnail = Markup('<a href="{0}"><img class="thumbnail" src="{1}" alt=""></a>').format(
        link, data_uri(buffer.getvalue(), "image/jpeg")
    )
    name = Markup('<a href="{}">{}</a>').format(link, report["image"]["file"])
    segments, lesions = report.get("segments"), report.get("lesions")
    named = [_lesion(one) for one in lesions or ()]
    return [
        thumbnail,
        name,
        None if lesions is None else ", ".join(named) or "none",
        None if segments is None else len(segments),
        _status(report.get("warnings", []), marks),
    ]


def _status(warnings: Sequence[str], marks: Mapping[str, tuple[str, str, int]]) -> str:
    """Return "done" and the numbers of the warnings, which stand once below the table."""
    numbers = sorted({int(marks[_kind(warning)][0]) for warning in warnings})
    return "done" + (f", warnings {', '.join(map(str, numbers))}" if numbers else "")


def _lesion(lesion: Mapping[str, Any]) -> str:
    percent = lesion.get("percent_diameter_stenosis")
    words = ["not measurable" if percent is None else f"{percent:.0f} %", lesion.get("segment")]
    return " in ".join(word for word in words if word)
