"""Write a page that lists the reports of many images."""

from __future__ import annotations

import io
import json
import os
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
    failures: Mapping[str, str] | None = None,
    skipped: Sequence[tuple[str, str]] = (),
    confirmed: Mapping[str, Any] | None = None,
) -> None:
    """Write `index.html`: one row per image, failed images first.

    Args:
        folder: folder of the page.
        reports: folders that `write_report` wrote.
        failures: error message by image name.
        skipped: (name, reason) of each file that was left out; these rows come last.
        confirmed: SYNTAX score of lesions that a reader has confirmed, see
            :meth:`monai_lora_sam.coronary.qca.ConfirmedScore.to_json`; it gets a section of its own.

    Raises:
        FileNotFoundError: a folder has no report.

    Example:
        >>> write_index(Path("out"), [Path("out/1"), Path("out/2")], {"3.png": "3.png: not an image"})
    """
    folder, failures = Path(folder), failures or {}
    failed = Markup('<span class="failed">failed</span> {}')
    rows = [["", name, failed.format(message), None, None] for name, message in failures.items()]
    rows += [_row(folder, Path(report)) for report in reports]
    rows += [["", name, f"skipped: {reason}", None, None] for name, reason in skipped]
    counts = f"{len(reports)} done, {len(failures)} failed" + (f", {len(skipped)} skipped" if skipped else "")
    table = Table(["", "Image", "Status", "Segments", "Lesions"], rows)
    sections = [Section(counts, [table] if rows else [Text("No image.")])]
    if confirmed is not None:
        sections.append(_syntax_section(confirmed))
    write_page(folder / "index.html", "Angiograms", sections)


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


def _row(folder: Path, report_folder: Path) -> list:
    report = json.loads((report_folder / "report.json").read_text(encoding="utf-8"))
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
        _status(report.get("warnings", [])),
        None if segments is None else len(segments),
        None if lesions is None else ", ".join(named) or "none",
    ]


def _status(warnings: Sequence[str]) -> Any:
    """Return "done" with the warnings folded, since many images share them."""
    if not warnings:
        return "done"
    count = f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}"
    return Markup("<details><summary>done, {}</summary>{}</details>").format(count, " ".join(warnings))


def _lesion(lesion: Mapping[str, Any]) -> str:
    percent = lesion.get("percent_diameter_stenosis")
    words = [f"lesion {lesion['id']}" if percent is None else f"{percent:.0f} %", lesion.get("segment")]
    return " in ".join(word for word in words if word)
