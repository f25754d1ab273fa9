"""Draw means with intervals over a quantity as SVG files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import escape

from monai_lora_sam.report.charts import round_ticks
from monai_lora_sam.report.interval_plot import Interval

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 380, 70, 200, 40, 60
ROW = 20  # pixels between two names in the legend
#: Dark enough on white, and apart for colour-blind readers (Okabe & Ito, 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#000000", "#999999")


@dataclass(frozen=True)
class Place:
    """Hold a place on the horizontal axis with its interval."""

    x: float
    interval: Interval


def curve_plot(
    curves: Mapping[str, Sequence[Place]], x_label: str, y_label: str, title: str = "", log_x: bool = False
) -> str:
    """Draw a curve for each name: single values as rings, means as dots on a line, intervals as bars.

    Args:
        curves: places by name, in the order of the legend.
        x_label, y_label: quantities with their units.
        title: over the plot.
        log_x: a logarithmic horizontal axis, with its labels at the places.

    Returns:
        The text of an SVG file.

    Raises:
        ValueError: no place at all, or places of 0 and less on a logarithmic axis.

    Example:
        >>> place = Place(20, Interval(0.7, 0.68, 0.72, [0.69, 0.71]))
        >>> Path("plot.svg").write_text(curve_plot({"lora": [place]}, "images", "Dice"))  # doctest: +SKIP
    """
    places = [place for curve in curves.values() for place in curve]
    if not places:
        raise ValueError("expected at least one place, found none")
    if log_x and min(place.x for place in places) <= 0:
        raise ValueError("a logarithmic axis: expected places above 0, found others")
    inside = [value for place in places for value in _values(place.interval)]
    y_ticks = [float(tick) for tick in round_ticks(inside, from_zero=False)]
    scale = math.log if log_x else float
    x_ticks = sorted({place.x for place in places}) if log_x else [float(t) for t in _x_ticks(places)]
    low, high = scale(x_ticks[0]), scale(x_ticks[-1])
    low, high = (low, high) if high > low else (low - 1, high + 1)

    def across(value: float) -> float:
        return LEFT + 14 + (scale(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT - 28)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="22" text-anchor="middle" font-weight="bold">{escape(title)}'
        "</text>"
    ]
    for tick in y_ticks:
        parts.append(
            f'<path d="M{LEFT} {up(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{up(tick):.1f}" text-anchor="end" dy=".32em">{tick:.6g}</text>'
        )
    for tick in x_ticks:
        parts.append(
            f'<text x="{across(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick:.4g}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 16}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        known = sorted((p for p in curve if p.interval.mean is not None), key=lambda place: place.x)
        # Side by side where several methods share a place.
        points = [(across(p.x) + 5 * (number - (len(curves) - 1) / 2), p.interval) for p in known]
        line = "L".join(f"{x:.1f} {up(i.mean):.1f}" for x, i in points if i.mean is not None)
        parts.append(f'<path d="M{line}" fill="none" stroke="{colour}"/>' if len(points) > 1 else "")
        for x, interval in points:
            if interval.low is not None and interval.high is not None:
                ends = f"M{x:.1f} {up(interval.low):.1f}V{up(interval.high):.1f}"
                parts.append(f'<path d="{ends}" stroke="{colour}" stroke-width="2.5"/>')
            for value in filter(math.isfinite, interval.values):
                parts.append(
                    f'<circle class="value" cx="{x:.1f}" cy="{up(value):.1f}" r="3" fill="none" stroke="{colour}"/>'
                )
            parts.append(
                f'<circle class="mean" cx="{x:.1f}" cy="{up(interval.mean or 0):.1f}" r="4.5" fill="{colour}"/>'
            )
        y = TOP + 10 + ROW * number
        parts.append(
            f'<circle cx="{WIDTH - RIGHT + 20}" cy="{y}" r="4.5" fill="{colour}"/>'
            f'<text x="{WIDTH - RIGHT + 32}" y="{y}" dy=".32em">{escape(name)}</text>'
        )
    return "\n".join([*filter(None, parts), "</svg>"])


def _values(interval: Interval) -> list[float]:
    values = (interval.mean, interval.low, interval.high, *interval.values)
    return [value for value in values if value is not None and math.isfinite(value)]


def _x_ticks(places: Sequence[Place]) -> Sequence[float]:
    return list(round_ticks([place.x for place in places], from_zero=True))
