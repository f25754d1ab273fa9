"""Check the value of a setting against its declaration."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | os.PathLike) and bool(str(value).strip())


def _is_device(value: Any) -> bool:
    import torch

    try:
        return torch.device(value).type != "cuda" or torch.cuda.is_available()
    except (RuntimeError, TypeError):
        return False


_SINGLE: dict[str, Callable[[Any], bool]] = {
    "integer": _is_integer,
    "number": _is_number,
    "text": _is_text,
    "device": _is_device,
    "anything": lambda value: True,
}
_RANGE = re.compile(r"(\w+?)(s?)(?: (from|above) (\S+))?(?: (to|below) (\S+))?")


def check_value(key: str, value: Any, declared: str, values: Mapping[str, Any] | None = None) -> None:
    """Check a setting's value against its declaration.

    A declaration lists alternatives: ``integer from 1``, ``number above 0 to 1 or null``, ``text``, ``integers``
    (a list), ``device`` (present on this computer), ``anything``, or a literal such as ``true`` or ``lora``.

    Args:
        key: of the setting.
        value: of the setting.
        declared: its declaration.
        values: of other settings, which a range may name: ``integer from 1 to epochs``.

    Raises:
        ValueError: the value is no alternative.

    Example:
        >>> check_value("epochs", 8, "integer from 1")
    """
    if any(_fits(value, alternative, values or {}) for alternative in declared.split(" or ")):
        return
    hint = ""
    if isinstance(value, str):
        literal = {
            "true": "True",
            "false": "False",
            "null": "None",
            "none": "None",
            "no": "False",
            "yes": "True",
        }
        hint = ", which is text"
        if value.lower() in literal:
            hint += f": write {literal[value.lower()]} on a command line"
        elif re.fullmatch(r"[+-]?\d+(\.\d*)?e[+-]?\d+", value, re.IGNORECASE):
            hint += f": write {float(value)!r} in YAML"
    raise ValueError(f"--{key}: expected {declared}, found {value!r}{hint}")


def _fits(value: Any, alternative: str, values: Mapping[str, Any]) -> bool:
    match = _RANGE.fullmatch(alternative)
    if match is None or match[1] not in _SINGLE:
        literal = json.loads(alternative) if alternative in ("true", "false", "null") else alternative
        return type(value) is type(literal) and value == literal
    kind, several, low, least, high, most = match.groups()
    if several:
        return isinstance(value, list | tuple) and all(
            _fits(v, kind + alternative[len(kind) + 1 :], values) for v in value
        )
    if not _SINGLE[kind](value):
        return False
    if least is not None and not (value >= float(least) if low == "from" else value > float(least)):
        return False
    if most is None:
        return True
    limit = values.get(most) if most in values else float(most)
    if not _is_number(limit):
        return True  # that setting has a check of its own
    return value <= limit if high == "to" else value < limit
