"""Write the report of one image."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from monai_lora_sam.coronary.report.colours import (
    LESION_COLOUR,
    UNNAMED_COLOUR,
    VESSEL_COLOUR,
    segment_colour,
)
from monai_lora_sam.coronary.report.lesions import (
    NOT_MEASURABLE,
    lesion_label,
    lesion_labels,
    lesion_marks,
    lesion_sections,
)
from monai_lora_sam.coronary.report.overlay import segment_overlay
from monai_lora_sam.files import atomic_write
from monai_lora_sam.report import (
    Chart,
    Facts,
    Notes,
    Section,
    Series,
    Table,
    Text,
    Viewer,
    data_uri,
    figure_table,
    grey,
    heading,
    heat,
    label_box,
    line_chart,
    outline,
    overlay,
    place_labels,
    png,
    svg,
    write_page,
)

SCHEMA = "monai-lora-sam/report/2"
PLOTTED_BRANCHES = 4
#: Words that headings write in capitals.
ABBREVIATIONS = frozenset({"mld", "rvd", "syntax", "cass"})
#: Field of a segment → title of its column, in the table's order.
SEGMENT_COLUMNS = {
    "name": "Segment",
    "cass": "CASS",
    "borders": "Borders",
    "length": "Length",
    "mld": "MLD",
    "mld_position": "MLD at",
    "rvd": "RVD at the MLD",
    "averaged_rvd": "RVD, averaged",
    "percent_diameter_stenosis": "%DS",
    "percent_area_stenosis": "Area stenosis (%)",
    "proximal_diameter": "RVD, proximal",
    "distal_diameter": "RVD, distal",
    "minimum_diameter": "Smallest diameter",
    "median_diameter": "Median diameter",
}
MEASURED_SEGMENTS = (
    "Borders and the place of the MLD are distances along the vessel from where its diameter function begins. RVD: "
    "reference diameter, from the reference line at the MLD and at both borders, or averaged from the diameters "
    "beside the segment. %DS is that of the segment's narrowest place, whether or not a lesion was found there. A "
    "segment without MLD was not measured."
)
NUMBERED_BRANCH_PX = (
    30.0  # shortest branch with a number; the numbers of shorter branches would hide the vessels
)


def write_report(
    folder: Path,
    report: Mapping[str, Any],
    image: np.ndarray,
    vessels: np.ndarray,
    probability: np.ndarray,
    segments: np.ndarray | None = None,
) -> None:
    """Write `report.json`, `overlay.png` and the self-contained `report.html` of one image.

    A section is shown only when its key is in the report: `vessels`, `segments`, `lesions`, `stages`,
    `timings_s`, `warnings`, `software`.

    Args:
        folder: folder to write to, made where missing.
        report: the figures, plain JSON values, schema "monai-lora-sam/report/2".
        image: (H, W), 0..1.
        vessels: (H, W), bool.
        probability: (H, W), 0..1.
        segments: (H, W), integer segment ids, drawn when the report has `segments` (a list of rows with `id`
            and `name`).

    Raises:
        ValueError: shapes, types or ranges do not fit, the schema is another one, or the report holds NaN.

    Example:
        >>> write_report(Path("out/case"), report, image, probability >= 0.5, probability)
    """
    _check(report, image, vessels, probability, segments)
    folder = Path(folder)
    name = str(report["image"]["file"])
    sections = result_sections(report, image, vessels, probability, segments)
    text = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False)
    drawn = (
        overlay(image, vessels)
        if segments is None or "segments" not in report
        else segment_overlay(image, vessels, segments, report["segments"], report.get("lesions", ()))
    )
    atomic_write(folder / "overlay.png", png(drawn))
    subtitle = "Coronary angiogram: vessels and measurements"
    if "lesions" in report:
        subtitle = "Quantitative coronary angiography"
    write_page(folder / "report.html", name, sections, subtitle)
    atomic_write(folder / "report.json", text.encode())  # last: its presence marks a finished folder


def result_sections(
    report: Mapping[str, Any],
    image: np.ndarray,
    vessels: np.ndarray,
    probability: np.ndarray,
    segments: np.ndarray | None = None,
) -> list[Section]:
    """Return the sections of one image's report, for any page; arguments as of `write_report`."""
    sections = [
        Section(
            "Image",
            [*_warnings(report), _viewer(report, image, vessels, probability, segments), _facts(report)],
        )
    ]
    if "lesions" in report:
        sections.append(Section("Lesions", lesion_sections(report, image)))
    if "segments" in report:
        sections.append(Section("Segments", _segments(report)))
    if "calibration" in report:
        sections.append(Section("Calibration", [_calibration(report)]))
    if "vessels" in report:
        sections.append(Section("Vessels", _vessels(report)))
    if "stages" in report:
        lumen = [
            {"stage": name, **report[name]} for name in ("refiner", "diameter_network") if report.get(name)
        ]
        sections.append(Section("Stages", [_table([*report["stages"], *lumen])]))
    if "timings_s" in report:
        sections.append(
            Section("Timings", [Facts({f"{name} (s)": value for name, value in report["timings_s"].items()})])
        )
    if "software" in report:
        sections.append(Section("Software", [Facts(report["software"])]))
    return sections


def _check(report, image, vessels, probability, segments) -> None:
    name_of_file = report["image"]["file"]
    if report.get("schema") != SCHEMA:
        raise ValueError(f"expected a report of schema {SCHEMA!r}, found {report.get('schema')!r}")
    size = (report["image"]["height"], report["image"]["width"])
    for name, array in (
        ("image", image),
        ("vessels", vessels),
        ("probability", probability),
        ("segments", segments),
    ):
        if array is not None and array.shape != size:
            raise ValueError(f"{name_of_file}: expected {name} of shape {size}, found {array.shape}")
    if vessels.dtype != np.bool_:
        raise ValueError(f"{name_of_file}: expected vessels as bool, found {vessels.dtype}")
    for name, array in (("image", image), ("probability", probability)):
        if not (array.min() >= 0 and array.max() <= 1):  # also false for NaN
            raise ValueError(
                f"{name_of_file}: expected {name} within 0..1, found {array.min()} to {array.max()}"
            )


def _warnings(report: Mapping[str, Any]) -> list[Notes]:
    warnings = list(dict.fromkeys(report.get("warnings", ())))
    return [Notes(warnings)] if warnings else []


def _facts(report: Mapping[str, Any]) -> Facts:
    image = report["image"]
    spacing, view = image.get("pixel_spacing_mm"), image.get("view")
    facts = {
        "Size": f"{image['width']} × {image['height']} px",
        "Pixel spacing": "unknown" if spacing is None else f"{spacing:.4g} mm",
        "View": "unknown" if view is None else view_name(view["primary_deg"], view["secondary_deg"]),
    }
    if image.get("frame"):
        frame = image["frame"]
        reasons = f" ({'; '.join(frame['reasons'])})" if frame.get("reasons") else ""
        facts["Frame"] = f"{frame['number']} of {frame['of']}{reasons}"
    return Facts(facts)


def view_name(primary_deg: float, secondary_deg: float) -> str:
    """Return a view (DICOM signs) in angiographers' words: 30, -20 becomes "LAO 30° CAU 20°"."""
    side = "LAO" if primary_deg >= 0 else "RAO"
    tilt = "CRA" if secondary_deg >= 0 else "CAU"
    return f"{side} {abs(primary_deg):g}° {tilt} {abs(secondary_deg):g}°"


def _viewer(report, image, vessels, probability, segments) -> Viewer:
    marks = [
        _name(branch["id"], *branch["middle_xy"])
        for branch in report.get("vessels", {}).get("branches", [])
        if branch["length_px"] >= NUMBERED_BRANCH_PX
    ]
    labels = lesion_labels(report.get("lesions", []), image.shape)
    lesions = [lesion_marks(lesion) for lesion in report.get("lesions", [])]
    lesions += [_name(text, *place, style="mark finding") for text, place in labels]
    layers, legend = {}, {}
    if segments is not None and "segments" in report:
        rows = report["segments"]
        legend = {str(row["name"]): segment_colour(row["id"]) for row in rows}
        drawn = [outline(segments == row["id"], segment_colour(row["id"]), filled=True) for row in rows]
        unnamed = vessels & (segments == 0)
        if unnamed.any():
            legend["vessels without a name"] = UNNAMED_COLOUR
            drawn.append(outline(unnamed, UNNAMED_COLOUR))
        names = {row["id"]: str(row["syntax"]) for row in rows if row.get("syntax")}
        places = place_labels(segments, names, [label_box(*one) for one in labels])
        written = [_name(names[number], *xy) for number, xy in places.items()]
        layers["Segments"] = svg(image.shape, [*drawn, *lesions, *written])
    layers["Vessels"] = svg(image.shape, [outline(vessels, VESSEL_COLOUR), *lesions, *marks])
    probability_uri = data_uri(png(heat(probability)))
    layers["Probability"] = Markup('<img src="{}" alt="Vessel probability">').format(probability_uri)
    return Viewer(
        base=data_uri(png(grey(image))),
        base_label="Angiogram",
        layers=layers,
        caption=_caption("Segments" in layers, bool(marks)),
        legend={
            **legend,
            **({} if legend else {"vessels": VESSEL_COLOUR}),
            **({"lesions": LESION_COLOUR} if lesions else {}),
        },
    )


def _caption(segments: bool, branches: bool) -> str:
    words = ["Segments: numbers are those of SYNTAX."] if segments else []
    if branches:
        words.append("Vessels: numbers are the branches of the last table; short ones have none.")
    return " ".join(words)


def _name(text: object, x: float, y: float, style: str = "mark") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(style, x, y, text)


def _segments(report: Mapping[str, Any]) -> list:
    """Return the table by segment, with the colour of each and the lesions in it."""
    rows = report["segments"]
    if not rows:
        return [Text("No segment was named.")]
    table = figure_table([_segment(row) for row in rows], SEGMENT_COLUMNS)
    lesions = report.get("lesions", [])
    shown = []
    for row, cells in zip(rows, table.rows, strict=True):
        colour = Markup('<i class="swatch" style="background:{}"></i>').format(segment_colour(row["id"]))
        inside = [one for one in lesions if one.get("segment") == row["name"]]
        # The lesions' table says of which the %DS is unknown.
        own = [lesion_label(one).removesuffix(f" · {NOT_MEASURABLE}") for one in inside]
        shown.append([colour + str(cells[0]), *cells[1:], *([", ".join(own) or None] if lesions else [])])
    blocks: list = [Table([*table.columns, *(["Lesions"] if lesions else [])], shown)]
    if any(row.get("percent_diameter_stenosis") is not None for row in rows):
        blocks.append(Text(MEASURED_SEGMENTS))
    return blocks


def _segment(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a segment's row with short cells for the table: the number in CASS, both borders."""
    row = dict(row)
    number = str(row.get("cass") or "").split(" ")[0]
    row["cass"] = number if number[:1].isdigit() else None
    for unit in ("mm", "px"):
        proximal, distal = (row.get(f"{end}_border_position_{unit}") for end in ("proximal", "distal"))
        if proximal is not None and distal is not None:
            row[f"borders_{unit}"] = f"{proximal:.1f}–{distal:.1f}"
    return row


def _titled(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {heading(key, ABBREVIATIONS): value for key, value in _readable(facts).items()}


def _calibration(report: Mapping[str, Any]) -> Facts:
    known = _titled(report["calibration"])
    return Facts({title: f"{v:.4g}" if isinstance(v, float) else v for title, v in known.items()})


def _vessels(report: Mapping[str, Any]) -> list:
    vessels, spacing = report["vessels"], report["image"].get("pixel_spacing_mm")
    facts = Facts(_titled(vessels))
    branches = vessels.get("branches", [])
    if not branches:
        return [facts, Text("No branch was found.")]
    measured = [branch for branch in branches if any(branch.get("profile", {}).get("diameter_px", []))]
    longest = sorted(measured, key=lambda branch: -branch["length_px"])[:PLOTTED_BRANCHES]
    lines = {f"branch {branch['id']}": (branch["profile"], "diameter_px") for branch in longest}
    caption = (
        "Diameter along the longest branches; gaps lie at bifurcations, at ends and where no wall was found."
    )
    return [facts, *([_profile_chart(lines, spacing, caption)] if lines else []), _table(branches)]


def _profile_chart(lines: Mapping[str, tuple[Mapping, str]], spacing: float | None, caption: str) -> Chart:
    """Plot fields of profiles over the distance, in mm where the spacing is known."""
    unit, scale = ("px", 1.0) if spacing is None else ("mm", spacing)

    def scaled(values: Sequence[float | None]) -> list[float]:
        return [math.nan if value is None else value * scale for value in values]

    series = [
        Series(name, scaled(profile["arc_length_px"]), scaled(profile[field]))
        for name, (profile, field) in lines.items()
    ]
    return Chart(line_chart(series, f"distance ({unit})", f"diameter ({unit})"), caption)


def _readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single values of a row, in mm only where both units are known."""
    return {
        key: value
        for key, value in row.items()
        if not isinstance(value, dict | list) and not (key.endswith("_px") and f"{key[:-3]}_mm" in row)
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Make a table of all fields of rows."""
    shown = [_readable(row) for row in rows]
    columns = list(dict.fromkeys(key for row in shown for key in row))
    return Table(
        [heading(column, ABBREVIATIONS) for column in columns],
        [[row.get(column) for column in columns] for row in shown],
    )
