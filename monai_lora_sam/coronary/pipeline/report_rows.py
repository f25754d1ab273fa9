"""Rows of segments and lesions in plain numbers, and the report that holds them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from monai_lora_sam import __version__
from monai_lora_sam.coronary.anatomy import (
    arcade_id,
    cass_name,
    in_order,
    segment_name,
    syntax_from_arcade_id,
    vessel_of,
)
from monai_lora_sam.coronary.images import SPACING_SOURCES, Angiogram
from monai_lora_sam.coronary.pipeline.stage_networks import StageNetworks
from monai_lora_sam.coronary.polyline import Polyline
from monai_lora_sam.coronary.qca import (
    BY_HAND,
    Calibration,
    Lesion,
    QcaResult,
    lesion_at,
    stenosis_at,
    with_units,
)
from monai_lora_sam.coronary.report import SCHEMA
from monai_lora_sam.files import printable

PACKAGES = ("monai", "torch", "transformers", "peft")
LOW_CONFIDENCE = 0.5  # of a lesion's score
DISAGREEMENT_PERCENT = 25.0  # between the %DS of the contours and the network's
#: Figure that stage 3 estimates → its mean absolute error among the metrics of the stage's card; that of the best
#: constant has the same name and `_of_constant`.
ESTIMATE_ERRORS = {"percent_diameter_stenosis": "val_percent_error", "mld_px": "val_mld_error"}


def segment_rows(segments: np.ndarray, measurement: QcaResult) -> list[dict[str, Any]]:
    """Return a row for each segment in a map (H, W) of ARCADE category ids, from proximal to distal.

    Length and diameters are those along the vessels within the segment; fields in mm where the measurement
    has a spacing.
    """
    spacing = measurement.pixel_spacing_mm
    found = [syntax_from_arcade_id(int(number)) for number in np.unique(segments[segments > 0])]
    rows = []
    for segment in in_order(found):
        number = arcade_id(segment)
        length, diameters = 0.0, [np.zeros(0)]
        for profile in measurement.profiles:
            inside = profile.segment_ids == number
            length += float((np.diff(profile.arc_length_px) * inside[1:]).sum())
            diameters.append(profile.diameter_px[inside & profile.is_measured])
        measured = np.concatenate(diameters)
        row: dict[str, Any] = {
            "id": number,
            "name": segment_name(segment),
            "syntax": segment.value,
            "cass": cass_name(segment),
            "vessel": vessel_of(segment).value,
        }
        figures = {
            "length": length,
            "minimum_diameter": float(measured.min()) if len(measured) else None,
            "median_diameter": float(np.median(measured)) if len(measured) else None,
        }
        for name, value in figures.items():
            row[f"{name}_px"] = _rounded(value)
            if spacing is not None:
                row[f"{name}_mm"] = _rounded(None if value is None else value * spacing)
        rows.append(row)
    return rows


def add_measurements(
    rows: Sequence[dict[str, Any]], measurement: QcaResult, lesions: Sequence[Mapping[str, Any]]
) -> None:
    """Put the quantitative analysis of each segment into its row, in place of the figures along the vessels.

    They stay where the analysis could not measure a segment. Of a segment in several pieces, ``pieces`` says how
    many, and the figures are those of the longest.

    Args:
        rows: as of :func:`segment_rows`.
        measurement: of the same image.
        lesions: as of :func:`lesion_rows`; a segment's row lists those that lie in it.
    """
    spacing = measurement.pixel_spacing_mm
    for row in rows:
        pieces = [one for one in measurement.segments if one.segment_id == row["id"]]
        for key in [key for key in row if key.startswith("minimum_diameter_")]:
            del row[key]
        if pieces:
            longest = max(pieces, key=lambda one: one.extent.length_px)
            figures = longest.to_json(spacing)
            for key in ("segment_id", "name", "vessel", "lesions"):
                del figures[key]
            row |= {**figures, **_positions(longest.extent, spacing), "pieces": len(pieces)}
        row["lesions"] = [lesion["id"] for lesion in lesions if lesion["segment_id"] == row["id"]]


def _positions(lesion: Lesion, spacing: float | None) -> dict[str, float | None]:
    """Return the positions of borders and smallest lumen along the midline, from the start of the diameter function."""
    arc = lesion.profile.arc_length_px
    positions = {
        "proximal_border_position": lesion.begin,
        "mld_position": lesion.minimum,
        "distal_border_position": lesion.end,
    }
    return with_units({name: float(arc[index]) for name, index in positions.items()}, spacing)


def proven_estimates(card: Mapping[str, Any]) -> list[str]:
    """Return the figures that a stage's network estimates better than a constant, as the metrics of its card say.

    Example:
        >>> proven_estimates({"metrics": {"val_mld_error": 1.1, "val_mld_error_of_constant": 1.5}})
        ['mld_px']
    """
    metrics = card.get("metrics") or {}
    errors = {
        figure: (metrics.get(name), metrics.get(f"{name}_of_constant"))
        for figure, name in ESTIMATE_ERRORS.items()
    }
    return [
        figure
        for figure, (own, constant) in errors.items()
        if own is not None and constant is not None and own < constant
    ]


def lesion_rows(
    detections: Sequence[Mapping[str, Any]],
    measurement: QcaResult,
    segments: np.ndarray | None,
    calibration_error_percent: float = 0.0,
    estimates: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Return a row for each lesion that stage 3 found, best first, measured where it lies.

    Two detections within one measured lesion become one row. Where the measurement finds no stenosis
    in a detection's box, %DS and MLD are None, and ``not_measurable_because`` says why;
    ``percent_diameter_stenosis_contours`` is that of the narrowest lumen in the box.

    Args:
        detections: as :func:`monai_lora_sam.coronary.networks.decode_lesions` gives them.
        measurement: of the same image.
        segments: (H, W) ARCADE category ids, or None.
        calibration_error_percent: of the spacing, for the intervals in mm.
        estimates: figures of the network, as of :func:`proven_estimates`, that stand under their name and
            ``_network``; the others are None there.
    """
    rows: list[dict[str, Any]] = []
    taken: list[Lesion] = []
    spacing = measurement.pixel_spacing_mm
    for detection in sorted(detections, key=lambda one: -one["score"]):
        # In decoded boxes the image spans 0 to its width; in the report 0 is the middle of the first pixel.
        box = [round(value - 0.5, 2) for value in detection["box_xyxy"]]
        number = len(rows) + 1
        lesion = stenosis_at(measurement, tuple(box), number)
        if lesion is not None and any(_same(lesion, other) for other in taken):
            continue
        row: dict[str, Any] = {"id": number, "segment": None, "score": round(detection["score"], 4)}
        if lesion is not None:
            taken.append(lesion)
            row |= {
                **lesion.to_json(spacing, calibration_error_percent),
                **_positions(lesion, spacing),
                "id": number,
                "measured_by": "contours",
                "not_measurable_because": None,
            }
            row["profile"] = _profile(lesion)
        else:
            row |= _not_measurable(lesion_at(measurement, tuple(box)), spacing)
        row["box_xy"] = box
        for figure in ESTIMATE_ERRORS:
            row[f"{figure}_network"] = _rounded(detection[figure]) if figure in estimates else None
        segment = (lesion.segment_id if lesion is not None else 0) or _segment_in(box, segments)
        row["segment_id"] = segment or None
        row["segment"] = segment_name(syntax_from_arcade_id(segment)) if segment else None
        rows.append(row)
    return rows


def _not_measurable(narrowest: Lesion | None, spacing: float | None) -> dict[str, Any]:
    """Return the fields of a lesion that the network found and the contours do not show."""
    percent = None if narrowest is None else _rounded(narrowest.percent_diameter_stenosis)
    return {
        "percent_diameter_stenosis": None,
        **with_units({"mld": None}, spacing),
        "measured_by": None,
        "not_measurable_because": "no vessel could be measured there"
        if percent is None
        else f"no stenosis could be delineated there, {percent:.0f} % at the narrowest place",
        "percent_diameter_stenosis_contours": percent,
    }


def _same(one: Lesion, other: Lesion) -> bool:
    if one.profile is not other.profile:
        return False
    return one.begin <= other.minimum <= one.end or other.begin <= one.minimum <= other.end


def _profile(lesion: Lesion) -> dict[str, Any]:
    """Return the diameter function of the lesion's vessel, as the report plots it."""
    profile = lesion.profile
    arc = profile.arc_length_px
    known = profile.is_measured | profile.occluded
    diameter = np.where(known, profile.diameter_px, np.nan)
    # Beside a bifurcation the next wall is another vessel's. The lesion's marks need two ends all the same.
    half = profile.reference_px[:, None] / 2 * Polyline(profile.points_rc).normals
    left, right = (
        np.where(known[:, None], wall, np.nan) for wall in (profile.left_wall_rc, profile.right_wall_rc)
    )
    for index in (lesion.begin, lesion.minimum, lesion.end):
        if not known[index]:
            left[index], right[index] = (
                profile.points_rc[index] - half[index],
                profile.points_rc[index] + half[index],
            )
    return {
        "arc_length_px": _listed(arc),
        "diameter_px": _listed(diameter),
        "reference_diameter_px": _listed(profile.reference_px),
        "left_wall_xy": _points(left),
        "right_wall_xy": _points(right),
        "proximal_border_px": _rounded(float(arc[lesion.begin])),
        "mld_position_px": _rounded(float(arc[lesion.minimum])),
        "distal_border_px": _rounded(float(arc[lesion.end])),
    }


def assemble_report(
    angiogram: Angiogram,
    networks: StageNetworks,
    found: Mapping[str, Any],
    seconds: Mapping[str, float],
    known: Calibration | None,
) -> dict[str, Any]:
    """Assemble ``report.json`` from the findings, with image, stages, calibration and warnings."""
    height, width = angiogram.pixels.shape
    view, spacing = angiogram.view, angiogram.pixel_spacing_mm
    source = angiogram.pixel_spacing_source or "the file"
    calibration = {} if known is None else {"calibration": {"source": source, **known.to_json()}}
    return {
        "schema": SCHEMA,
        "image": {
            "file": printable(angiogram.path.name),
            "height": height,
            "width": width,
            "pixel_spacing_mm": spacing,
            "view": None if view is None else {"primary_deg": view[0], "secondary_deg": view[1]},
        },
        "stages": networks.cards(),
        **networks.lumen_cards(),
        **found,
        **calibration,
        "timings_s": dict(seconds),
        "warnings": report_warnings(angiogram, found),
        "software": {"monai-lora-sam": __version__, **{package: version(package) for package in PACKAGES}},
    }


def calibration_of(angiogram: Angiogram) -> Calibration | None:
    """Return the calibration of an angiogram by the source of its spacing, None without a spacing."""
    if angiogram.pixel_spacing_mm is None:
        return None
    source = angiogram.pixel_spacing_source
    methods = [key for key, words in SPACING_SOURCES.items() if source.startswith(words)]
    method = BY_HAND if source == BY_HAND else (methods or ["stated"])[0]
    return Calibration.of(angiogram.pixel_spacing_mm, method)


def report_warnings(angiogram: Angiogram, found: Mapping[str, Any]) -> list[str]:
    """Return the warnings that a reader needs before relying on a figure."""
    warnings = list(angiogram.warnings)
    if angiogram.pixel_spacing_mm is None:
        warnings.append(
            "Calibration is missing: the file gives no pixel spacing, so that diameters and lengths are in pixels."
        )
    if not found["vessels"]["area_px"]:
        warnings.append("No vessel was found.")
    if "segments" in found and angiogram.view is None:
        warnings.append("The view angles are unknown: segments were named without them.")
    if found.get("lesions") or found.get("segments"):
        warnings.append(
            "Foreshortening is unknown: one projection shows lengths no longer than they are, often shorter."
        )
    return warnings + _lesion_warnings(found.get("lesions", ()))


def _lesion_warnings(lesions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each kind of doubt, with the lesions that it is about."""
    kinds: dict[str, list[str]] = {}
    for lesion in lesions:
        number, reason = lesion["id"], lesion["not_measurable_because"]
        percent, network = lesion["percent_diameter_stenosis"], lesion["percent_diameter_stenosis_network"]
        if lesion["score"] < LOW_CONFIDENCE:
            kinds.setdefault("Low confidence", []).append(f"{number} (score {lesion['score']:.2f})")
        if reason is not None:
            kinds.setdefault("Not measurable", []).append(f"{number} ({reason})")
        elif network is not None and abs(percent - network) > DISAGREEMENT_PERCENT:
            kinds.setdefault("Contours and network disagree on the %DS", []).append(
                f"{number} ({percent:.0f} % and {network:.0f} %)"
            )
    return [
        f"{kind}: lesion{'s' if len(which) > 1 else ''} {', '.join(which)}." for kind, which in kinds.items()
    ]


def _segment_in(box: Sequence[float], segments: np.ndarray | None) -> int:
    """Return the ARCADE category id that most named pixels in a box have, 0 where there is none."""
    if segments is None:
        return 0
    left, top = (max(math.floor(value), 0) for value in box[:2])
    inside = segments[top : math.ceil(box[3]) + 1, left : math.ceil(box[2]) + 1]
    counts = np.bincount(inside[inside > 0].ravel(), minlength=1)
    return int(counts.argmax()) if counts.any() else 0


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 3)


def _listed(values: np.ndarray) -> list[float | None]:
    return [_rounded(value) for value in values.tolist()]


def _points(points_rc: np.ndarray) -> list[list[float] | None]:
    return [
        [round(column, 2), round(row, 2)] if math.isfinite(row) and math.isfinite(column) else None
        for row, column in points_rc.tolist()
    ]
