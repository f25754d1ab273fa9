"""Draw line charts as inline SVG in the colours of the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 26, 18, 48
COLOURS = 6  # --series-1 ... --series-6 in the page's style


@dataclass(frozen=True)
class Series:
    """Hold one line of N places and values; the line has a gap where `y` is None or NaN."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    dashed: bool = False


@dataclass(frozen=True)
class Span:
    """Hold a region of the horizontal axis that is shaded from axis to top."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Mark:
    """Hold a place on the horizontal axis with a line from axis to top and a name at its head."""

    name: str
    x: float


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    y_from_zero: bool = True,
    spans: Sequence[Span] = (),
    marks: Sequence[Mark] = (),
    x_ticks: Mapping[float, str] | None = None,
) -> Markup:
    """Draw lines over one pair of axes.

    Args:
        series: at most six lines.
        x_label: with its unit.
        y_label: with its unit.
        y_from_zero: whether the vertical axis starts at zero.
        spans: regions to shade; parts beyond the lines' own range are left out.
        marks: places to mark with a vertical line; those beyond the lines' range are left out.
        x_ticks: labels by place on the horizontal axis, instead of round numbers: two or more, which enclose the
            lines. A logarithmic axis gets its labels this way.

    Returns:
        An `<svg>` element; colours come from the CSS variables `--series-1` ... of the page.

    Raises:
        ValueError: there are too many lines, a line's x and y differ in length, or fewer than two ticks are
            given.
    """
    if len(series) > COLOURS:
        raise ValueError(f"expected at most {COLOURS} lines, found {len(series)}")
    curves = []
    for line in series:
        if len(line.x) != len(line.y):
            raise ValueError(
                f"line {line.name!r}: expected as many y as x, found {len(line.y)} and {len(line.x)}"
            )
        curves.append(
            (np.asarray(line.x, dtype=float), np.array([math.nan if v is None else v for v in line.y]))
        )
    if x_ticks is None:
        places = _axis_ticks(np.concatenate([x for x, _ in curves] or [np.zeros(0)]))
        x_ticks = {float(place): _number(place) for place in places}
    elif len(x_ticks) < 2:
        raise ValueError(f"expected two or more ticks, found {dict(x_ticks)}")
    left, right = min(x_ticks), max(x_ticks)
    y_ticks = round_ticks(np.concatenate([y for _, y in curves] or [np.zeros(0)]), from_zero=y_from_zero)

    def across(value: float) -> float:
        return LEFT + (value - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (HEIGHT - TOP - BOTTOM)

    parts = [Markup('<svg class="chart" viewBox="0 0 {} {}" role="img">').format(WIDTH, HEIGHT)]
    parts.append(Markup("<title>{}: {}</title>").format(y_label, ", ".join(line.name for line in series)))
    parts += [_span(span, left, right, across) for span in spans]
    for tick in y_ticks:
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
                LEFT, WIDTH - RIGHT, y=up(tick)
            )
            + Markup('<text x="{}" y="{:.1f}" text-anchor="end" dy=".32em">{}</text>').format(
                LEFT - 8, up(tick), _number(tick)
            )
        )
    for tick, name in x_ticks.items():
        parts.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                across(tick), HEIGHT - BOTTOM + 20, name
            )
        )
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_label
        )
        + Markup('<text transform="translate(16 {}) rotate(-90)" text-anchor="middle">{}</text>').format(
            (TOP + HEIGHT - BOTTOM) / 2, y_label
        )
    )
    for number, ((x, y), line) in enumerate(zip(curves, series, strict=True), start=1):
        parts.append(
            Markup('<path class="line{}" style="stroke:var(--series-{})" d="{}"/>').format(
                " dashed" if line.dashed else "", number, _path(x, y, across, up)
            )
        )
    for mark in marks:
        if left <= mark.x <= right:
            parts.append(
                Markup('<line class="marker" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>').format(
                    TOP, HEIGHT - BOTTOM, x=across(mark.x)
                )
                + Markup('<text class="name" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                    across(mark.x), TOP - 3, mark.name
                )
            )
    parts.append(Markup("</svg>"))
    return Markup("").join(parts) + _legend(series, spans)


def _span(span: Span, left: float, right: float, across: Callable[[float], float]) -> Markup:
    start, end = (min(max(value, left), right) for value in sorted((span.start, span.end)))
    return Markup('<rect class="span" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
        across(start), TOP, across(end) - across(start), HEIGHT - TOP - BOTTOM
    )


def _legend(series: Sequence[Series], spans: Sequence[Span] = ()) -> Markup:
    if len(series) + len(spans) < 2:
        return Markup("")
    keys = [
        Markup('<li><i{} style="background:var(--series-{})"></i>{}</li>').format(
            Markup(' class="dashed"') if line.dashed else "", number, escape(line.name)
        )
        for number, line in enumerate(series, start=1)
    ]
    keys += [
        Markup('<li><i class="span"></i>{}</li>').format(name)
        for name in dict.fromkeys(span.name for span in spans)
    ]
    return Markup('<ul class="legend">') + Markup("").join(keys) + Markup("</ul>")


def _path(x: np.ndarray, y: np.ndarray, across, up) -> str:
    pieces, pen_down = [], False
    for one, other in zip(x, y, strict=True):
        if np.isfinite(other):
            pieces.append(f"{'L' if pen_down else 'M'}{across(one):.1f} {up(other):.1f}")
        pen_down = bool(np.isfinite(other))
    return "".join(pieces)


def round_ticks(values: Sequence[float] | np.ndarray, from_zero: bool) -> np.ndarray:
    """Return about five round numbers that enclose the finite ones of the values."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    low = min(low, 0.0) if from_zero else low
    if high <= low:
        high = low + 1.0
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return np.arange(math.floor(low / step), math.ceil(high / step - 1e-9) + 1) * step


def _axis_ticks(places: np.ndarray) -> np.ndarray:
    """Return ticks that are whole where all places are, such as epochs."""
    ticks = round_ticks(places, from_zero=False)
    if ticks[1] - ticks[0] < 1 and np.all(places == np.round(places)):
        return np.arange(math.floor(ticks[0]), math.ceil(ticks[-1]) + 1)
    return ticks


def _number(value: float) -> str:
    return f"{value:.6g}"
