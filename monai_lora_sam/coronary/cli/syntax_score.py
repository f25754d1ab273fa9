"""``monai-lora-sam syntax-score``: the SYNTAX score of lesions that a reader has confirmed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli import console_beside, one_line_errors, write_json

if TYPE_CHECKING:
    from monai_lora_sam.coronary.anatomy import SyntaxSegment
    from monai_lora_sam.coronary.qca import ScoredLesion, SyntaxScore

FILE_KEYS = ("confirmed", "dominance", "lesions", "diffuse_segments")
LESION_KEYS = ("segments", "percent_diameter_stenosis", "rvd_mm", "occluded")

app = typer.Typer()


@app.command(
    "syntax-score",
    epilog="Example:\n\nmonai-lora-sam syntax-score lesions.json --json score.json\n\n"
    "A file of one patient, both coronary arteries:\n\n"
    '{"confirmed": true, "dominance": "right", "lesions": [{"segments": ["6", "7"], '
    '"percent_diameter_stenosis": 72, "rvd_mm": 3.1, "heavy_calcification": true}]}',
)
def syntax_score_command(
    lesions: Annotated[
        Path, typer.Argument(help="JSON with confirmed, dominance and lesions.", show_default=False)
    ],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write points and total; - for standard output."),
    ] = None,
) -> None:
    """Add up the SYNTAX score of lesions whose segments and figures a reader has confirmed."""
    with one_line_errors():
        from monai_lora_sam.coronary.qca import syntax_score

        try:
            content = json.loads(lesions.read_text(encoding="utf-8"))
            _check_file(content)
            counted, reasons = [], []
            for number, entry in enumerate(content["lesions"], 1):
                lesion, reason = _read_lesion(entry, number)
                reasons.append(reason)
                counted += [] if reason else [lesion]
            diffuse = [_segment(name, "diffuse_segments") for name in content.get("diffuse_segments", ())]
            score = syntax_score(counted, content["dominance"], diffuse)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{lesions}: {error}") from error
        rows = _rows(content["lesions"], reasons, score)
        if json_file is not None:
            write_json(
                {
                    "syntax_score": score.total,
                    "dominance": score.dominance.value,
                    "lesions": rows,
                    "diffuse_points": score.diffuse_points,
                },
                json_file,
            )
    console_beside(json_file).print(_table(rows, score))


def _check_file(content: Any) -> None:
    if not isinstance(content, Mapping):
        raise ValueError(f"expected an object with {', '.join(FILE_KEYS)}, found {type(content).__name__}")
    _check_names(content, FILE_KEYS, "the file")
    missing = [key for key in FILE_KEYS[:3] if key not in content]
    if missing:
        raise ValueError(f"expected {', '.join(FILE_KEYS[:3])}, found no {', '.join(missing)}")
    if content["confirmed"] is not True:
        raise ValueError(
            'expected "confirmed": true, which says that a reader has checked segments and lesions, '
            f"found {content['confirmed']!r}"
        )
    for key in ("lesions", "diffuse_segments"):
        if not isinstance(content.get(key, []), list):
            raise ValueError(f"{key}: expected a list, found {type(content[key]).__name__}")


def _check_names(given: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            nearest = f" (nearest: {close[0]!r})" if close else ""
            raise ValueError(f"{place}: {name!r} is not supported{nearest}; known are {', '.join(known)}")


def _segment(name: Any, place: str) -> SyntaxSegment:
    from monai_lora_sam.coronary.anatomy import SyntaxSegment

    try:
        return SyntaxSegment(name)
    except ValueError as error:
        known = ", ".join(segment.value for segment in SyntaxSegment)
        raise ValueError(f"{place}: expected SYNTAX segments among {known}, found {name!r}") from error


def _read_lesion(entry: Any, number: int) -> tuple[ScoredLesion, str | None]:
    """Return a lesion, and the reason for which it does not count, if any."""
    from dataclasses import fields

    from monai_lora_sam.coronary.qca import (
        LEAST_PERCENT,
        LEAST_VESSEL_MM,
        AdverseCharacteristics,
        ScoredLesion,
    )

    place = f"lesion {number}"
    if not isinstance(entry, Mapping):
        raise ValueError(f"{place}: expected an object, found {type(entry).__name__}")
    characteristics = tuple(field.name for field in fields(AdverseCharacteristics))
    _check_names(entry, LESION_KEYS + characteristics, place)
    names = entry.get("segments")
    if not isinstance(names, list) or not names:
        raise ValueError(f"{place}: segments: expected a list of SYNTAX segments, found {names!r}")
    percent = _number(entry, "percent_diameter_stenosis", place)
    reference = _number(entry, "rvd_mm", place)
    if percent > 100:
        raise ValueError(f"{place}: percent_diameter_stenosis: expected at most 100, found {percent:g}")
    adverse: dict[str, Any] = {key: entry[key] for key in characteristics if key in entry}
    for key, value in adverse.items():
        default = getattr(AdverseCharacteristics(), key)
        if default is not None and type(value) is not type(default):
            raise ValueError(f"{place}: {key}: expected {type(default).__name__}, found {value!r}")
    if adverse.get("medina") is not None:
        if not isinstance(adverse["medina"], list):
            raise ValueError(
                f"{place}: medina: expected a list of three of 0 and 1, found {adverse['medina']!r}"
            )
        adverse["medina"] = tuple(adverse["medina"])
    occluded = entry.get("occluded")
    if (percent == 100.0) != (occluded is not None):
        raise ValueError(
            f"{place}: expected occluded, the first occluded segment, exactly where percent_diameter_stenosis is "
            f"100, found occluded {occluded!r} and {percent:g}"
        )
    try:
        lesion = ScoredLesion(
            tuple(_segment(name, "segments") for name in names),
            None if occluded is None else _segment(occluded, "occluded"),
            AdverseCharacteristics(**adverse),
        )
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    if percent < LEAST_PERCENT:
        return lesion, f"below {LEAST_PERCENT:g} %DS"
    if reference < LEAST_VESSEL_MM:
        return lesion, f"vessel below {LEAST_VESSEL_MM:g} mm"
    return lesion, None


def _number(entry: Mapping[str, Any], key: str, place: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"{place}: {key}: expected a number from 0 on, found {value!r}")
    return float(value)


def _rows(
    entries: list[dict[str, Any]], reasons: list[str | None], score: SyntaxScore
) -> list[dict[str, Any]]:
    counted = iter(score.rows)
    rows = []
    for number, (entry, reason) in enumerate(zip(entries, reasons, strict=True), 1):
        row: dict[str, Any] = {
            "lesion": number,
            "percent_diameter_stenosis": entry["percent_diameter_stenosis"],
        }
        if reason is None:
            row |= next(counted)
        else:
            row |= {"segments": dict.fromkeys(entry["segments"], 0.0), "adverse": {}, "points": 0.0}
            row["not_counted"] = reason
        rows.append(row)
    return rows


def _table(rows: list[dict[str, Any]], score: SyntaxScore) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True, show_footer=True)
    table.add_column("lesion", "sum", justify="right")
    table.add_column("points of", f"SYNTAX score, {score.dominance.value} dominance")
    table.add_column("points", f"{score.total:g}", justify="right")
    for row in rows:
        first = str(row["lesion"])
        if "not_counted" in row:
            segments = ", ".join(row["segments"])
            table.add_row(first, f"segment {segments}: not counted, {row['not_counted']}", "0")
            continue
        for segment, points in row["segments"].items():
            table.add_row(first, f"segment {segment}", f"{points:g}")
            first = ""
        for name, points in row["adverse"].items():
            table.add_row("", name, f"{points:g}")
    if score.diffuse_points:
        table.add_row("", "diffuse disease", f"{score.diffuse_points:g}")
    return table
