"""Read JSON that others wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: str | Path, kind: str) -> Any:
    """Read a JSON file in UTF-8, -16 or -32, with or without a byte order mark.

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
