"""Write, read and check datalists in MONAI's Decathlon form."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.files import atomic_write, read_json_value

SPLITS = ("training", "validation", "test")
PATH_KEYS = ("image", "label")  # as in MONAI's reader


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all.

    Raises:
        ValueError: the content holds NaN or infinity; the file is named.
    """
    try:
        text = json.dumps(content, indent=1, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: expected finite numbers, and null for unknown ones, found NaN") from error
    atomic_write(path, text + "\n")


def write_datalist(
    path: str | Path,
    *,
    name: str,
    task: str,
    class_names: Sequence[str],
    splits: dict[str, list[dict[str, Any]]],
    warnings: Sequence[str] = (),
) -> Path:
    """Write a datalist: {"name", "task", "class_names", "training", "validation", "test", "warnings"}.

    The paths `image` and `label` become relative to the datalist's folder when they lie inside it, else absolute,
    so that a prepared folder can be moved. An absolute path under another key becomes relative, too, when it lies
    inside.

    Raises:
        ValueError: a split that is not "training", "validation" or "test", or an entry without an image.
    """
    path = Path(path)
    folder = path.parent.resolve()
    unknown = set(splits) - set(SPLITS)
    if unknown:
        raise ValueError(f"{path}: expected the splits {SPLITS}, found {sorted(unknown)}")
    content: dict[str, Any] = {"name": name, "task": task, "class_names": list(class_names)}
    for split in SPLITS:
        entries = copy.deepcopy(splits.get(split, []))
        for index, entry in enumerate(entries):
            if "image" not in entry:
                raise ValueError(f"{path}: {split}[{index}]: expected the key 'image', found {sorted(entry)}")
            for key in PATH_KEYS:
                if entry.get(key) is None:
                    entry.pop(key, None)  # MONAI's reader takes an absent label, not null.
            for key, value in entry.items():
                if key in PATH_KEYS or (isinstance(value, str) and os.path.isabs(value)):
                    target = Path(os.path.abspath(value))
                    inside = target.is_relative_to(folder)
                    entry[key] = (target.relative_to(folder) if inside else target).as_posix()
        if entries or split != "test":  # MONAI's reader fails on an empty test list.
            content[split] = entries
    if warnings:
        content["warnings"] = list(warnings)
    write_json(path, content)
    return path


def read_datalist(path: str | Path, path_keys: Sequence[str] = ()) -> dict[str, Any]:
    """Read a datalist, make its paths absolute and check every entry.

    Absent splits, or null, become empty lists. MONAI's `load_decathlon_datalist(path, True, split)` reads the same
    file, one split at a time and unchecked.

    Args:
        path: of the datalist.
        path_keys: keys that hold paths besides `image` and `label`.

    Raises:
        FileNotFoundError: no such datalist.
        ValueError: not JSON, no split, a split that is no list, an entry without an image or with a path that does
            not exist. The message lists all wrong entries.
    """
    path = Path(path)
    content = read_json_value(path, "a datalist")
    if not isinstance(content, dict) or not any(isinstance(content.get(split), list) for split in SPLITS):
        raise ValueError(
            f"{path}: expected an object with a list under one of {SPLITS}, found {content!r:.80}"
        )
    wrong = _wrong_texts(content)
    for split in SPLITS:
        if content.get(split) is None:
            content[split] = []
        if not isinstance(content[split], list):
            wrong.append(f"{split}: expected a list of entries, found {content[split]!r:.80}")
            continue
        for index, entry in enumerate(content[split]):
            where = f"{split}[{index}]"
            if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
                wrong.append(f"{where}: expected an object with the path 'image', found {entry!r:.200}")
                continue
            for key in (*PATH_KEYS, *path_keys):
                if entry.get(key) is None:
                    continue
                if not isinstance(entry[key], str) or "\0" in entry[key]:
                    wrong.append(f"{where}: {key}: expected a path, found {entry[key]!r:.80}")
                    continue
                target = Path(os.path.realpath(path.parent / entry[key]))
                entry[key] = str(target)
                if not target.is_file():
                    wrong.append(f"{where}: {key}: expected a file, found nothing at {target}")
    if wrong:
        raise ValueError(f"{path}: {len(wrong)} wrong entries:\n  " + "\n  ".join(wrong))
    return content


def _wrong_texts(content: dict[str, Any]) -> list[str]:
    """Return the errors of a datalist's own keys."""
    wrong = [
        f"{key}: expected a text, found {content[key]!r:.80}"
        for key in ("name", "task")
        if not isinstance(content.get(key) or "", str)
    ]
    for key in ("class_names", "warnings"):
        texts = content.get(key) or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            wrong.append(f"{key}: expected a list of texts, found {texts!r:.80}")
    return wrong
