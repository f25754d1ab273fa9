"""Score lesions whose segments and figures a reader has confirmed, from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.qca.junctions import check_anatomy
from monai_lora_sam.coronary.qca.syntax_score import (
    LEAST_PERCENT,
    LEAST_VESSEL_MM,
    AdverseCharacteristics,
    ScoredLesion,
    SyntaxScore,
    syntax_score,
)

FILE_KEYS = ("confirmed", "dominance", "lesions", "diffuse_segments")
LESION_KEYS = ("segments", "percent_diameter_stenosis", "rvd_mm", "occluded")


@dataclass(frozen=True)
class ConfirmedScore:
    """Hold the SYNTAX score of a file of confirmed lesions.

    Attributes:
        score: points and total.
        rows: for each lesion of the file its number, %DS, points by segment and by adverse characteristic, and the
            reason under ``not_counted`` where it does not count.
    """

    score: SyntaxScore
    rows: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return total, dominance, lesions and points of diffuse disease as plain values."""
        return {
            "syntax_score": self.score.total,
            "dominance": self.score.dominance.value,
            "lesions": self.rows,
            "diffuse_points": self.score.diffuse_points,
        }


def score_confirmed(path: str | Path) -> ConfirmedScore:
    """Read confirmed lesions of one patient and add up their SYNTAX score.

    Args:
        path: JSON with ``confirmed``, ``dominance`` and ``lesions`` (docs/qca.md).

    Raises:
        ValueError: the file is no such JSON, is not confirmed, or asks for points that are not supported; the file,
            the lesion, the expected and the found are named.

    Example:
        >>> score_confirmed("confirmed.json").score.total  # doctest: +SKIP
        23.0
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
        _check_file(content)
        counted, reasons = [], []
        for number, entry in enumerate(content["lesions"], 1):
            lesion, reason = _read_lesion(entry, number, Dominance(content["dominance"]))
            reasons.append(reason)
            counted += [] if reason else [lesion]
        for name, items in (
            ("lesion", content["lesions"]),
            ("diffuse segment", content.get("diffuse_segments", [])),
        ):
            for number, item in enumerate(items, 1):
                if (first := items.index(item) + 1) < number:
                    raise ValueError(
                        f"{name} {number}: expected each {name} once, found the same as {name} {first}"
                    )
        diffuse = [_segment(name, "diffuse_segments") for name in content.get("diffuse_segments", ())]
        score = syntax_score(counted, content["dominance"], diffuse)
    except RecursionError:
        raise ValueError(f"{path}: expected JSON of confirmed lesions, found JSON nested too deep") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return ConfirmedScore(score, _rows(content["lesions"], reasons, score))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON's pairs, of which the last would count where a key is there twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in content if names.count(name) > 1)
        raise ValueError(f"expected each key once, found {twice!r} {names.count(twice)} times")
    return content


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
    known = [dominance.value for dominance in Dominance]
    if content["dominance"] not in known:
        raise ValueError(f"dominance: expected right or left, found {content['dominance']!r}")
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
    try:
        return SyntaxSegment(name)
    except ValueError as error:
        known = ", ".join(segment.value for segment in SyntaxSegment)
        raise ValueError(f"{place}: expected SYNTAX segments among {known}, found {name!r}") from error


def _read_lesion(entry: Any, number: int, dominance: Dominance) -> tuple[ScoredLesion, str | None]:
    """Return a lesion, and the reason for which it does not count, if any."""
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
    if reference == 0:
        raise ValueError(f"{place}: rvd_mm: expected a number above 0, found 0")
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
        if dominance is not Dominance.CO:  # refused as a whole
            check_anatomy(lesion, dominance)
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
