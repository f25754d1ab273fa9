"""Draw box plots as inline SVG in the colours of the page's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

WIDTH, ROW = 720, 30
LEFT, RIGHT, TOP, BOTTOM = 170, 26, 8, 44


def box_plot(
    groups: Mapping[str, Sequence[float]], label: str, low: float = 0.0, high: float = 1.0
) -> Markup:
    """Draw one horizontal box for each group: quartiles, median, whiskers, and the values beyond them.

    Whiskers end at the farthest values within 1.5 interquartile ranges of the box, as Tukey defined them. NaN is left
    out; a group without values keeps an empty row.

    Args:
        groups: values by name, in the order of the rows.
        label: quantity and unit of the values.
        low, high: ends of the axis.

    Returns:
        An `<svg>` element.

    Raises:
        ValueError: no group, an axis without length, or values beyond its ends.

    Example:
        >>> chart = box_plot({"box": [0.8, 0.9, 0.92], "point": [0.1, 0.4, 0.5]}, "Dice")
    """
    if not groups or high <= low:
        raise ValueError(f"expected groups and an axis, found {len(groups)} groups from {low} to {high}")
    height = TOP + ROW * len(groups) + BOTTOM

    def across(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}: {}</title>').format(
            WIDTH, height, label, ", ".join(groups)
        )
    ]
    for tick in np.linspace(low, high, 6):
        parts.append(
            Markup('<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>').format(
                TOP, height - BOTTOM, x=across(tick)
            )
            + Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{:.3g}</text>').format(
                across(tick), height - BOTTOM + 18, tick
            )
        )
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            (LEFT + WIDTH - RIGHT) / 2, height - 6, label
        )
    )
    for number, (name, values) in enumerate(groups.items()):
        middle = TOP + ROW * (number + 0.5)
        parts.append(
            Markup('<text x="{}" y="{:.1f}" text-anchor="end" dy=".32em">{}</text>').format(
                LEFT - 8, middle, name
            )
        )
        known = np.asarray(values, float)
        known = known[~np.isnan(known)]
        if known.size and (known.min() < low or known.max() > high):
            raise ValueError(
                f"{name}: expected values from {low} to {high}, found {known.min()} to {known.max()}"
            )
        if known.size:
            parts.append(_box(known, middle, across))
    return Markup("").join([*parts, Markup("</svg>")])


def _box(values: np.ndarray, middle: float, across) -> Markup:
    first, median, third = np.percentile(values, (25, 50, 75))
    inside = values[(values >= first - 1.5 * (third - first)) & (values <= third + 1.5 * (third - first))]
    style = 'style="stroke:var(--series-1);stroke-width:1.5;fill:none"'
    parts = [
        Markup(
            f'<path {style} d="M{across(inside.min()):.1f} {middle:.1f}H{across(first):.1f}'
            f'M{across(third):.1f} {middle:.1f}H{across(inside.max()):.1f}"/>'
            f'<rect {style} x="{across(first):.1f}" y="{middle - 8:.1f}" '
            f'width="{across(third) - across(first):.1f}" height="16"/>'
            f'<path style="stroke:var(--series-2);stroke-width:2.5" d="M{across(median):.1f} {middle - 8:.1f}v16"/>'
        )
    ]
    for value in values[(values < inside.min()) | (values > inside.max())]:
        parts.append(Markup(f'<circle {style} cx="{across(value):.1f}" cy="{middle:.1f}" r="2.5"/>'))
    return Markup("").join(parts)
