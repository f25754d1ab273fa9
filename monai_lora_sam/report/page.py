"""Write a self-contained HTML page of sections."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import jinja2
from markupsafe import Markup

from monai_lora_sam import __version__
from monai_lora_sam.files import atomic_write

RANGE = re.compile(r"[\d.]+–[\d.]+")
LONG_CELL = 24  # characters above which a table may break a word


@dataclass(frozen=True)
class Text:
    """Hold a paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Code:
    """Hold a command or a file's text, kept as it is; one click selects all of it."""

    kind: ClassVar[str] = "code"
    code: str


@dataclass(frozen=True)
class Notes:
    """Hold a list of remarks that must not be overlooked."""

    kind: ClassVar[str] = "notes"
    notes: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Hold names with their values; a value may be `Markup`."""

    kind: ClassVar[str] = "facts"
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Hold a table; numbers are set to the right and None is shown as a dash. A cell may be `Markup`."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True)
class Viewer:
    """Hold a picture with layers to switch between.

    Attributes:
        base: the picture as a data URI.
        base_label: name of the choice that shows the bare picture; it comes last.
        layers: `<svg>` or `<img>` of the picture's shape by label; the first layer is shown initially and in print.
        caption: text below the picture.
        legend: colour by name.
    """

    kind: ClassVar[str] = "viewer"
    base: str
    base_label: str
    layers: Mapping[str, Markup]
    caption: str = ""
    legend: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Gallery:
    """Hold viewers side by side."""

    kind: ClassVar[str] = "gallery"
    viewers: Sequence[Viewer]


@dataclass(frozen=True)
class Chart:
    """Hold a chart made by `line_chart`."""

    kind: ClassVar[str] = "chart"
    chart: Markup
    caption: str = ""


@dataclass(frozen=True)
class Columns:
    """Hold blocks side by side under one heading; below each other where the page is narrow."""

    kind: ClassVar[str] = "columns"
    title: str
    blocks: Sequence[Text | Code | Notes | Facts | Table | Viewer | Chart]


@dataclass(frozen=True)
class Section:
    """Hold a heading and the blocks under it."""

    title: str
    blocks: Sequence[Text | Code | Notes | Facts | Table | Viewer | Gallery | Chart | Columns]


def write_page(path: Path, title: str, sections: Sequence[Section], subtitle: str = "") -> None:
    """Write sections as one HTML file without links to other files or sites.

    All text is escaped. The page follows the reader's light or dark setting and has a print style.

    Args:
        path: file to write; its folder is created where missing.
        title: heading of the page.
        sections: contents of the page, in order.
        subtitle: a line under the heading.

    Example:
        >>> chart = Chart(line_chart([Series("loss", [1, 2], [0.9, 0.5])], "epoch", "loss"))
        >>> write_page(Path("page.html"), "Training", [Section("Loss", [chart])])
    """
    page = _template().render(title=title, subtitle=subtitle, sections=sections, version=__version__)
    atomic_write(Path(path), page.encode())


def heading(field: str, abbreviations: Collection[str] = ()) -> str:
    """Turn a field's name into a column heading: `minimum_diameter_mm` becomes "Minimum diameter (mm)".

    Args:
        field: words joined by underscores, with its unit last.
        abbreviations: words in lower case that are written in capitals.
    """
    words = field.split("_")
    units = {"px": "px", "mm": "mm", "s": "s", "deg": "°", "percent": "%"}
    unit = f" ({units[words.pop()]})" if len(words) > 1 and words[-1] in units else ""
    text = " ".join(word.upper() if word in abbreviations else word for word in words)
    return text[:1].upper() + text[1:] + unit


def cell(value: Any) -> Any:
    """Format a value for reading: floats with two decimals (three figures below 0.1), None as a dash."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if 0 < abs(value) < 0.1 else f"{value:.2f}"
    return value


def is_number(value: Any) -> bool:
    """Say whether a cell is set to the right on one line: a number, None, or a range of two numbers."""
    if isinstance(value, str):
        return RANGE.fullmatch(value) is not None
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def is_long(value: Any) -> bool:
    text = value.striptags() if isinstance(value, Markup) else value
    return isinstance(text, str) and len(text) > LONG_CELL


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("monai_lora_sam.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    environment.tests["numeric"] = is_number
    environment.tests["long"] = is_long
    return environment.get_template("page.html.j2")
