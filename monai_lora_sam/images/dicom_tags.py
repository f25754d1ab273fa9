"""Read optional elements of a DICOM data set: a faulty value is unknown, with a warning."""

from __future__ import annotations

import re
import warnings as python_warnings
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword

_NUMERIC = re.compile(r"[\d\s.,;/\\+\-]*(?:[eE][+\-]?\d+[\d\s.,;/\\+\-]*)*|[+\-]?(?:nan|inf)", re.IGNORECASE)
_LONGEST_QUOTE = 40


class OptionalTags:
    """Read optional elements; collect a warning for each value that cannot be used.

    Args:
        dataset: the data set.
        warnings: list to which warnings are added, each once.

    Example:
        >>> dataset = pydicom.Dataset()
        >>> dataset.FrameTime = "40"
        >>> OptionalTags(dataset, []).number("FrameTime")
        40.0
    """

    def __init__(self, dataset: pydicom.Dataset, warnings: list[str]) -> None:
        self.dataset, self.warnings = dataset, warnings

    def numbers(
        self,
        keyword: str,
        counts: Collection[int] = (1,),
        least: float = -np.inf,
        most: float = np.inf,
        unit: str = "",
    ) -> list[float] | None:
        """Return the numbers of an element; None where it is absent, empty, no numbers, too many, or out of range."""
        try:
            value = self._value(keyword)
            if value is None or value == "":
                return None
            several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
            found = [float(part) for part in (value if several else [value])]
        except Exception:  # Damaged bytes make pydicom raise errors of any type.
            found = [np.nan]
        if not found:
            return None
        if not np.isfinite(found).all():
            self.warn(keyword, "numbers", self._quote(keyword))
        elif len(found) not in counts:
            allowed = " or ".join(map(str, sorted(counts)))
            self.warn(keyword, f"{allowed} value{'' if allowed == '1' else 's'}", f"{len(found)}")
        elif min(found) < least or max(found) > most:
            words = f"at least {least:g}" if most == np.inf else f"{least:g} to {most:g}"
            self.warn(
                keyword, f"{words} {unit}".strip(), ", ".join(f"{one:g}" for one in dict.fromkeys(found))
            )
        else:
            return found
        return None

    def number(
        self, keyword: str, least: float = -np.inf, most: float = np.inf, unit: str = ""
    ) -> float | None:
        """Return the one number of an element; None where it is unknown as in :meth:`numbers`."""
        found = self.numbers(keyword, (1,), least, most, unit)
        return found[0] if found else None

    def text(self, keyword: str) -> str:
        """Return the text of an element without blanks at its ends; "" where it is absent or unreadable."""
        try:
            value = self._value(keyword)
            return "" if value is None else str(value).strip()
        except Exception:  # Damaged bytes make pydicom raise errors of any type.
            self.warn(keyword, "text", "unreadable bytes")
            return ""

    def item(self, keyword: str, index: int = 0) -> OptionalTags | None:
        """Return an item of a sequence; None where the sequence is absent, shorter or unreadable."""
        try:
            items = self.dataset.get(keyword) or ()
            if index >= len(items):
                return None
            if isinstance(items[index], pydicom.Dataset):
                return OptionalTags(items[index], self.warnings)
        except Exception:  # Damaged bytes make pydicom raise errors of any type.
            pass
        self.warn(keyword, "a sequence of items", "other content")
        return None

    def warn(self, keyword: str, expected: str, found: str) -> None:
        """Add the warning that the value of an element is taken as unknown."""
        self.note(f"DICOM {named(keyword)}: expected {expected}, found {found}; taken as unknown.")

    def note(self, warning: str) -> None:
        """Add a warning, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _value(self, keyword: str) -> Any:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")  # of pydicom, on a value's form; `warnings` has the words
            return self.dataset.get(keyword)

    def _quote(self, keyword: str) -> str:
        """Return the stored text if it consists of digits and signs; words could hold a name."""
        try:
            raw: Any = self.dataset.get_item(tag_for_keyword(keyword) or 0).value
            parts = raw if isinstance(raw, Sequence) and not isinstance(raw, str | bytes) else [raw]
            texts = [part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in parts]
            text = "\\".join(texts).strip(" \0")
        except Exception:  # Damaged bytes make pydicom raise errors of any type.
            return "unreadable bytes"
        if not _NUMERIC.fullmatch(text):
            return "words"
        return f"'{text[:_LONGEST_QUOTE]}{'…' if len(text) > _LONGEST_QUOTE else ''}'"


def named(keyword: str) -> str:
    """Return keyword and tag of an element, such as "FrameTime (0018,1063)"."""
    tag = tag_for_keyword(keyword) or 0
    return f"{keyword} ({tag >> 16:04x},{tag & 0xFFFF:04x})"
