"""Draw lesions on a page: marks on the frame, an enlarged view, the diameter function, a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from monai_lora_sam.coronary.report.colours import BORDER_COLOUR, LESION_COLOUR, VESSEL_COLOUR
from monai_lora_sam.report import (
    Chart,
    Columns,
    Facts,
    Mark,
    Series,
    Span,
    Table,
    Text,
    Viewer,
    centred,
    data_uri,
    figure_table,
    grey,
    line_chart,
    place_box_labels,
    png,
    polyline,
    svg,
)

ENLARGED_MARGIN_PX = 24.0
ENLARGED_MINIMUM_PX = 72.0
TICK_PX = 4.0  # length of a border's line outside the vessel, on each side
#: Field of a lesion → title of its column, in the table's order.
COLUMNS = {
    "id": "Lesion",
    "segment": "Segment",
    "percent_diameter_stenosis": "%DS",
    "percent_diameter_stenosis_interval": "%DS, 95 %",
    "mld": "MLD",
    "mld_interval": "MLD, 95 %",
    "rvd": "RVD at the MLD",
    "averaged_rvd": "RVD, averaged",
    "percent_area_stenosis": "Area stenosis (%)",
    "length": "Length",
    "score": "Score",
}
NOT_MEASURABLE = "not measurable"
#: Field of a lesion's position → its title below the pictures.
POSITION_TITLES = {
    "proximal_border": "Proximal border",
    "mld": "Place of the MLD",
    "distal_border": "Distal border",
}


def lesion_sections(report: Mapping[str, Any], image: np.ndarray) -> list:
    """Return the blocks of a report's lesions: a table, then each lesion enlarged beside its diameters."""
    lesions, spacing = report["lesions"], report["image"].get("pixel_spacing_mm")
    if not lesions:
        return [Text("No lesion was found.")]
    return [lesion_table(lesions), *[block for one in lesions for block in _close_up(one, image, spacing)]]


def lesion_table(lesions: Sequence[Mapping[str, Any]]) -> Table:
    """Make a table of the figures that at least one lesion has, in mm where known, else in px."""
    return figure_table([_shown(lesion) for lesion in lesions], COLUMNS)


def _shown(lesion: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**lesion, "percent_diameter_stenosis": NOT_MEASURABLE} if _is_unmeasurable(lesion) else lesion


def _is_unmeasurable(lesion: Mapping[str, Any]) -> bool:
    """Say whether a lesion was found whose %DS could not be measured; it is null then."""
    return lesion.get("percent_diameter_stenosis", 0.0) is None


def lesion_marks(lesion: Mapping[str, Any], enlarged: bool = False, text_height_px: float = 7.0) -> Markup:
    """Draw a lesion in pixels of its picture: box, contours, both borders and the site of the MLD.

    Marks without data in the lesion are left out. The enlarged form names the marks and draws the contours of the
    whole profile; it draws the box only where there are no contours.
    """
    parts: list[Markup] = []
    profile = lesion.get("profile") or {}
    walls = [profile[name] for name in ("left_wall_xy", "right_wall_xy") if profile.get(name)]
    if lesion.get("box_xy") and not (enlarged and walls):
        left, top, right, bottom = lesion["box_xy"]
        parts.append(
            Markup('<rect class="box" stroke="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                LESION_COLOUR, left, top, right - left, bottom - top
            )
        )
    inside = _inside(lesion)
    for wall in walls if len(walls) == 2 else []:
        if enlarged:
            parts.append(polyline(wall, VESSEL_COLOUR, "outline"))
        parts.append(polyline(wall[inside], LESION_COLOUR, "outline"))
    if len(walls) == 2:
        for field, name in (("proximal_border_px", "P"), ("distal_border_px", "D")):
            parts += _line_across(lesion, field, BORDER_COLOUR, name if enlarged else "", text_height_px)
        name = "MLD" if enlarged else ""
        # Named on the other side of the vessel: a border may be near.
        parts += _line_across(lesion, "mld_position_px", LESION_COLOUR, name, -text_height_px)
    elif lesion.get("mld_xy"):
        x, y = lesion["mld_xy"]
        parts.append(
            Markup('<circle class="across" stroke="{}" cx="{}" cy="{}" r="3"/>').format(LESION_COLOUR, x, y)
        )
    return centred(parts)


def lesion_labels(
    lesions: Sequence[Mapping[str, Any]], shape: tuple[int, ...]
) -> list[tuple[str, tuple[float, float]]]:
    """Return the text at each lesion and the (x, y) of its middle; texts do not hide each other."""
    boxes = {}
    for number, lesion in enumerate(lesions):
        if lesion.get("box_xy"):
            boxes[number] = lesion["box_xy"]
        elif lesion.get("mld_xy"):
            x, y = lesion["mld_xy"]
            boxes[number] = [x - 6, y - 6, x + 6, y + 6]
    names = {number: lesion_label(lesions[number]) for number in boxes}
    return [(names[number], place) for number, place in place_box_labels(boxes, names, shape).items()]


def lesion_label(lesion: Mapping[str, Any]) -> str:
    """Return the text at a lesion: its number and %DS, such as "1 · 62 %" or "2 · not measurable"."""
    if _is_unmeasurable(lesion):
        return f"{lesion['id']} · {NOT_MEASURABLE}"
    percent = lesion.get("percent_diameter_stenosis")
    return f"{lesion['id']}" if percent is None else f"{lesion['id']} · {percent:.0f} %"


def _at(lesion: Mapping[str, Any], field: str) -> int | None:
    """Return the index of the profile's point at the arc length under `field`; None where unknown."""
    profile = lesion.get("profile") or {}
    position, arc = profile.get(field), profile.get("arc_length_px")
    return None if position is None or not arc else int(np.argmin(np.abs(np.array(arc) - position)))


def _inside(lesion: Mapping[str, Any]) -> slice:
    ends = [_at(lesion, field) for field in ("proximal_border_px", "distal_border_px")]
    known = [end for end in ends if end is not None]
    return slice(min(known), max(known) + 1) if len(known) == 2 else slice(0)


def _line_across(
    lesion: Mapping[str, Any], field: str, colour: str, name: str, text_height_px: float
) -> list[Markup]:
    """Draw a line from wall to wall and `TICK_PX` further, on a dark casing, with a name at its right end.

    A negative text height puts the name at the left end.
    """
    index = _at(lesion, field)
    if index is None:
        return []
    ends = [lesion["profile"][wall][index] for wall in ("left_wall_xy", "right_wall_xy")]
    if any(end is None or end[0] is None for end in ends):
        return []
    one, other = np.array(ends[0], dtype=float), np.array(ends[1], dtype=float)
    direction = (other - one) / max(float(np.linalg.norm(other - one)), 1e-9)
    one, other = one - TICK_PX * direction, other + TICK_PX * direction
    line = polyline([one, other], colour, "across", cased=True)
    if not name:
        return [line]
    end, height = (other, text_height_px) if text_height_px > 0 else (one, -text_height_px)
    x, y = end + (0.6 + 0.3 * len(name)) * text_height_px * direction
    text = Markup(
        '<text class="mark" style="font-size:{:.1f}px;stroke-width:{:.1f}px" x="{:.1f}" y="{:.1f}">{}</text>'
    )
    return [line, text.format(height, height / 5, x, y, name)]


def _close_up(lesion: Mapping[str, Any], image: np.ndarray, spacing: float | None) -> list:
    """Return a lesion enlarged beside its diameter function, and its figures below."""
    profile = lesion.get("profile") or {}
    title = f"Lesion {lesion['id']}" + (f", {lesion['segment']}" if lesion.get("segment") else "")
    blocks: list = []
    if profile.get("left_wall_xy") or lesion.get("box_xy"):
        blocks.append(_enlarged(lesion, image))
    if profile.get("diameter_px"):
        blocks.append(diameter_chart(lesion, spacing))
    details = _details(lesion)
    return [Columns(title, [*blocks, *([Facts(details)] if details else [])])] if blocks else []


def _details(lesion: Mapping[str, Any]) -> dict[str, Any]:
    """Return the positions of borders and smallest lumen, and the figures that the table leaves out."""
    unit = "mm" if lesion.get("mld_mm") is not None else "px"
    details: dict[str, Any] = {}
    if lesion.get("not_measurable_because"):
        details["Not measurable"] = lesion["not_measurable_because"]
    for field, title in POSITION_TITLES.items():
        position, point = lesion.get(f"{field}_position_{unit}"), lesion.get(f"{field}_xy")
        words = [] if position is None else [f"at {position:.1f} {unit}"]
        words += ["({:.1f}, {:.1f}) px".format(*point)] if point else []
        if words:
            details[title] = ", ".join(words)
    beside = {side: lesion.get(f"{side}_reference_{unit}") for side in ("proximal", "distal")}
    known = [f"{value:.2f} {unit} {side}" for side, value in beside.items() if value is not None]
    if known:
        details["Mean diameter beside it"] = ", ".join(known)
    percent = lesion.get("percent_diameter_stenosis_averaged_reference")
    if percent is not None:
        details["%DS by the averaged RVD"] = f"{percent:.0f} %"
    percent, mld = lesion.get("percent_diameter_stenosis_network"), lesion.get("mld_px_network")
    estimate = [] if percent is None else [f"{percent:.0f} % diameter stenosis"]
    estimate += [] if mld is None else [f"MLD {mld:.1f} px"]
    if estimate:
        details["The network's estimate, no measurement"] = ", ".join(estimate)
    return details


def _enlarged(lesion: Mapping[str, Any], image: np.ndarray) -> Viewer:
    height, width = image.shape
    corners = np.reshape(np.array(lesion["box_xy"], dtype=float), (2, 2)) if lesion.get("box_xy") else None
    walls = (lesion.get("profile") or {}).get("left_wall_xy") or []
    inside = [point for point in walls[_inside(lesion)] if point is not None and point[0] is not None]
    points = np.array(inside if inside else corners, dtype=float)
    low, high = points.min(axis=0) - ENLARGED_MARGIN_PX, points.max(axis=0) + ENLARGED_MARGIN_PX
    side = max(float((high - low).max()), ENLARGED_MINIMUM_PX)
    middle = (low + high) / 2
    size = np.array([width, height])
    start = np.floor(np.clip(middle - side / 2, 0, np.maximum(size - side, 0))).astype(int)
    stop = np.minimum(start + math.ceil(side), size)
    crop = image[start[1] : stop[1], start[0] : stop[0]]
    window = (int(start[0]), int(start[1]), int(stop[0] - start[0]), int(stop[1] - start[1]))
    return Viewer(
        base=data_uri(png(grey(crop))),
        base_label="Angiogram",
        layers={
            "Contours" if walls else "Box": svg(
                image.shape, [lesion_marks(lesion, True, window[2] / 22)], window
            )
        },
        legend={
            "contours": VESSEL_COLOUR,
            "lesion and MLD": LESION_COLOUR,
            "P, D: its borders": BORDER_COLOUR,
        }
        if walls
        else {"the network's box": LESION_COLOUR},
    )


def diameter_chart(lesion: Mapping[str, Any], spacing: float | None) -> Chart:
    """Plot a lesion's diameter function with the reference line, the lesion shaded and the MLD's site marked."""
    profile = lesion["profile"]
    unit, scale = ("px", 1.0) if spacing is None else ("mm", spacing)

    def scaled(values: Sequence[float | None]) -> list[float]:
        return [math.nan if value is None else value * scale for value in values]

    arc = scaled(profile["arc_length_px"])
    series = [Series("diameter", arc, scaled(profile["diameter_px"]))]
    if profile.get("reference_diameter_px"):
        reference = scaled(profile["reference_diameter_px"])
        series.append(Series("reference diameter", arc, reference, dashed=True))
    begin, end, place = (
        profile.get(name) for name in ("proximal_border_px", "distal_border_px", "mld_position_px")
    )
    spans = [] if begin is None or end is None else [Span("lesion", begin * scale, end * scale)]
    marks = [] if place is None else [Mark("MLD", place * scale)]
    chart = line_chart(series, f"distance ({unit})", f"diameter ({unit})", spans=spans, marks=marks)
    return Chart(chart, "Diameter along the vessel")
