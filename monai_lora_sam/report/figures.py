"""Make tables of measurements, in mm where the spacing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_lora_sam.report.page import Table


def figure_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> Table:
    """Make a table of the figures that at least one row has, in mm where known, else in px.

    Args:
        rows: figures by field, such as a row of `report.json`.
        columns: title by field; the field has no unit and may end in ``_interval``.

    Example:
        >>> figure_table([{"length_px": 5.0, "length_mm": 1.0}], {"length": "Length"}).columns
        ['Length (mm)']
    """
    keys: dict[str, str] = {}
    for field, title in columns.items():
        stem = field.removesuffix("_interval")
        interval = field[len(stem) :]
        names = {f"{stem}_mm{interval}": " (mm)", f"{stem}_px{interval}": " (px)", field: ""}
        found = [key for key in names if any(row.get(key) is not None for row in rows)]
        if found:
            keys[found[0]] = title + names[found[0]]
    return Table(list(keys.values()), [[figure(key, row.get(key)) for key in keys] for row in rows])


def figure(key: str, value: Any) -> Any:
    """Format a field's value for a table: percent as whole numbers, an interval as "0.90–1.20"."""
    if value is None:
        return None
    if key.endswith("_interval"):
        return "–".join(f"{number:.0f}" if "percent" in key else f"{number:.2f}" for number in value)
    if key.startswith("percent_") and not isinstance(value, str):
        return round(value)
    return value
