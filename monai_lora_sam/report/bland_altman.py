"""Draw Bland-Altman plots as SVG files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import escape

from monai_lora_sam.metrics import agreement

WIDTH, HEIGHT, MARGIN = 640, 400, 60


def bland_altman(pairs: Sequence[tuple[float, float]], unit: str) -> str:
    """Draw the difference over the mean of (measured, true) pairs with bias and 95 % limits.

    After Bland & Altman, Lancet 1986;327:307-310.

    Args:
        pairs: finite values in one unit.
        unit: quantity and unit of the values, such as "diameter (mm)".

    Returns:
        The text of an SVG file.

    Example:
        >>> Path("plot.svg").write_text(bland_altman([(2.1, 2.0), (3.2, 3.0)], "diameter (mm)"))  # doctest: +SKIP
    """
    values = np.array(pairs, dtype=float).reshape(-1, 2)
    mean, difference = values.mean(axis=1), values[:, 0] - values[:, 1]
    found = agreement(values[:, 0].tolist(), values[:, 1].tolist())
    width, height, margin = WIDTH, HEIGHT, MARGIN
    right = float(mean.max(initial=1.0)) * 1.05
    top = max(float(np.abs(difference).max(initial=0.0)), 1e-6) * 1.1

    def at(x: float, y: float) -> tuple[float, float]:
        return margin + x / right * (width - 2 * margin), height / 2 - y / top * (height / 2 - margin)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" fill="white"/>'
    ]
    for x, y in zip(mean, difference, strict=True):
        column, row = at(x, y)
        parts.append(f'<circle cx="{column:.1f}" cy="{row:.1f}" r="2.2" fill="#1f5fa8" fill-opacity=".5"/>')
    levels = (("bias", found.bias), ("lower", found.lower_limit), ("upper", found.upper_limit), ("", 0.0))
    for name, level in levels:
        if np.isfinite(level):
            (x0, y0), (x1, _) = at(0, level), at(right, level)
            dash = "" if not name else ' stroke-dasharray="6 4"'
            parts.append(f'<path d="M{x0:.1f} {y0:.1f}H{x1:.1f}" stroke="#444"{dash}/>')
            if name:
                parts.append(f'<text x="{x1 - 90:.0f}" y="{y0 - 4:.1f}">{name} {level:+.2f}</text>')
    for tick in np.linspace(0, right, 6):
        parts.append(
            f'<text x="{at(tick, 0)[0]:.0f}" y="{height - 30}" text-anchor="middle">{tick:.3g}</text>'
        )
    for tick in np.linspace(-top, top, 5):
        parts.append(f'<text x="{margin - 6}" y="{at(0, tick)[1]:.0f}" text-anchor="end">{tick:.2g}</text>')
    shown = escape(unit)
    parts.append(
        f'<text x="{width / 2}" y="{height - 8}" text-anchor="middle">mean of measured and true {shown}</text>'
        f'<text x="{width / 2}" y="18" text-anchor="middle">measured - true {shown}, {found.n} pairs</text></svg>'
    )
    return "\n".join(parts)
