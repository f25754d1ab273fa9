"""Read JSON of strangers, and hash it by content."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

#: Size in bytes of the largest JSON file that is read: cards and configurations take kilobytes.
LARGEST_JSON = 16 * 2**20


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object from a file; line endings, indentation and a byte order mark do not matter.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file that is too large, no JSON, nested too deep, or no object; the file is named.

    Example:
        >>> read_json("card.json")["name"]  # doctest: +SKIP
        'liver'
    """
    path = Path(path)
    size = path.stat().st_size
    if size > LARGEST_JSON:
        raise ValueError(f"{path}: expected JSON of at most {LARGEST_JSON} bytes, found {size}")
    return parse_json(path.read_bytes(), path)


def parse_json(content: bytes, source: str | Path) -> dict[str, Any]:
    """Return the JSON object in the bytes of a file; `source` names it in messages, see :func:`read_json`."""
    if len(content) > LARGEST_JSON:
        raise ValueError(f"{source}: expected JSON of at most {LARGEST_JSON} bytes, found {len(content)}")
    try:
        found = json.loads(content.decode("utf-8-sig"), parse_constant=_finite, parse_float=_finite)
        json.dumps(found)  # the writer stops at a smaller depth than the reader
    except RecursionError:
        raise ValueError(f"{source}: expected a JSON object, found one that is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"{source}: expected a JSON object, found damaged text: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{source}: expected a JSON object, found {type(found).__name__}")
    return found


def read_json_value(path: str | Path, kind: str) -> Any:
    """Read any JSON value of a data set, in UTF-8, -16 or -32, with or without a byte order mark, of any size.

    Args:
        path: of the file.
        kind: of file, for messages, such as "a datalist".

    Raises:
        FileNotFoundError: no such file.
        ValueError: a folder, an unreadable file, no JSON, or JSON nested too deep.
    """
    path = Path(path)
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: expected {kind}, found nothing") from error
    except OSError as error:
        raise ValueError(f"{path}: expected {kind} in JSON, found {error.strerror or error}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: expected {kind} in JSON, found JSON nested too deep") from error
    except ValueError as error:  # Neither JSON nor text, or a number of thousands of digits.
        raise ValueError(f"{path}: expected {kind} in JSON, found {error}") from error


def content_sha256(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a JSON object, whatever its line endings and indentation.

    It is that of a file with sorted keys and an indentation of two, as `json.dumps(content, indent=2, sort_keys=True)`.
    """
    return hashlib.sha256(json.dumps(content, indent=2, sort_keys=True).encode()).hexdigest()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number
