"""Draw means with their intervals as SVG files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import escape

from monai_lora_sam.report.charts import round_ticks

WIDTH, ROW, TOP, BOTTOM, RIGHT = 720, 34, 34, 52, 30
LETTER = 6.6  # width in pixels of a letter of 12 pixels
LONGEST_NAME = 44  # letters; the rest of a name is left out


@dataclass(frozen=True)
class Interval:
    """Hold a mean, the ends of its interval and the single values; the mean is None where nothing is known."""

    mean: float | None
    low: float | None
    high: float | None
    values: Sequence[float] = ()


def interval_plot(rows: Mapping[str, Interval], label: str, title: str = "") -> str:
    """Draw a row for each name: the single values as rings, their mean as a dot, its interval as a bar.

    Args:
        rows: intervals by name, from top to bottom.
        label: quantity and unit of the values.
        title: over the plot.

    Returns:
        The text of an SVG file.

    Raises:
        ValueError: no row.

    Example:
        >>> Path("plot.svg").write_text(
        ...     interval_plot({"r=4": Interval(0.7, 0.68, 0.72, [0.68, 0.72])}, "Dice")
        ... )  # doctest: +SKIP
    """
    if not rows:
        raise ValueError("expected at least one row, found none")
    found = [
        value
        for row in rows.values()
        for value in (row.mean, row.low, row.high, *row.values)
        if value is not None and math.isfinite(value)
    ]
    ticks = [float(tick) for tick in round_ticks(found, from_zero=False)]
    names = {name: name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in rows}
    left = 24 + LETTER * max(map(len, names.values()))
    height = TOP + ROW * len(rows) + BOTTOM

    def across(value: float) -> float:
        return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - left - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
        f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-weight="bold">{escape(title)}</text>'
    ]
    for tick in ticks:
        parts.append(
            f'<path d="M{across(tick):.1f} {TOP}V{height - BOTTOM}" stroke="#ddd"/>'
            f'<text x="{across(tick):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{tick:.6g}</text>'
        )
    parts.append(
        f'<text x="{(left + WIDTH - RIGHT) / 2:.1f}" y="{height - 10}" text-anchor="middle">{escape(label)}</text>'
    )
    for number, (name, row) in enumerate(rows.items()):
        middle = TOP + ROW * (number + 0.5)
        parts.append(
            f'<text x="{left - 12:.1f}" y="{middle:.1f}" text-anchor="end" dy=".32em">{escape(names[name])}</text>'
        )
        if row.low is not None and row.high is not None:
            parts.append(
                f'<path d="M{across(row.low):.1f} {middle:.1f}H{across(row.high):.1f}" stroke="#1f5fa8" '
                'stroke-width="2.5"/>'
            )
        for value in row.values:
            if math.isfinite(value):
                parts.append(
                    f'<circle class="value" cx="{across(value):.1f}" cy="{middle:.1f}" r="3.5" fill="none" '
                    'stroke="#444"/>'
                )
        if row.mean is not None:
            parts.append(
                f'<circle class="mean" cx="{across(row.mean):.1f}" cy="{middle:.1f}" r="4.5" fill="#1f5fa8"/>'
            )
    return "\n".join([*parts, "</svg>"])
