"""Keys and values of a bundle's configuration, as the command line gives them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from pydoc import locate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

#: Words that every command uses, and the key that a bundle has for each.
WORDS = {"batch": "batch_size", "encoder": "encoder_name", "out": "output_dir", "weights": "pretrained"}

_SEPARATOR = "::"


def parse_keys(arguments: Sequence[str]) -> dict[str, Any]:
    """Return keys and values of ``--key value`` and ``--key=value``, parsed as ``monai.bundle`` does.

    A key inside another is written with ``#`` or ``::``, such as ``lora#r``. Hyphens count as underscores, and a
    word of ``WORDS`` stands for its key.

    Raises:
        ValueError: a value without a key, a key without a value, or a key that is given twice.

    Example:
        >>> parse_keys(["--epochs", "8", "--lora#r", "4", "--out=models", "--image-size", "None"])
        {'epochs': 8, 'lora::r': 4, 'output_dir': 'models', 'image_size': None}
    """
    from fire.parser import DefaultParseValue

    found: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        if not option.startswith("--"):
            raise ValueError(f"expected --key value, found {option!r} without a key before it")
        name, assigned, text = option[2:].partition("=")
        if not assigned:
            if not rest or rest[0].startswith("--"):
                raise ValueError(f"--{name}: expected a value after it, found none")
            text = rest.pop(0)
        key = name.replace("-", "_").replace("#", _SEPARATOR)
        key = WORDS.get(key, key)
        if key in found:
            raise ValueError(f"--{name}: expected each key once, found it twice")
        found[key] = DefaultParseValue(text)
    return found


def run_with_keys(bundle: str, files: Sequence[str], arguments: Sequence[str]) -> ConfigWorkflow:
    """Run a bundle with the keys of a command line, and return its finished workflow.

    Args:
        bundle: by name.
        files: of its configuration, each laid over the ones before it.
        arguments: as of :func:`parse_keys`.

    Raises:
        ValueError: an unknown bundle or key.
    """
    keys = parse_keys(arguments)

    from monai_lora_sam.workflows import bundle_folder, run_bundle

    check_keys(keys, [bundle_folder(bundle) / "configs" / file for file in files])
    try:
        return run_bundle(bundle, files, keys)
    except RuntimeError as error:  # MONAI wraps each error of a component, often several times
        cause: BaseException | None = error
        while isinstance(cause, RuntimeError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from error


def check_keys(keys: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Check that configuration files, each laid over the ones before it, have these keys.

    Inside a component the arguments of its class or function are known, too, and inside ``lora`` those of an
    adapter.

    Raises:
        ValueError: an unknown key; the nearest known one is named.
    """
    from monai.bundle import ConfigParser

    config = ConfigParser.load_config_files([str(file) for file in files])
    for key in keys:
        place: Any = config
        parts = key.split(_SEPARATOR)
        for depth, part in enumerate(parts):
            known = _known(place, parts[depth - 1] if depth else "")
            if part not in known:
                close = get_close_matches(part, known, n=1)
                nearest = f" (nearest: --{'#'.join([*parts[:depth], close[0]])})" if close else ""
                nearest = nearest or (f" (known: {', '.join(sorted(known))})" if depth else "")
                raise ValueError(
                    f"--{'#'.join(parts)}: expected a key of {', '.join(file.name for file in files)}, "
                    f"found {part!r}{nearest}"
                )
            place = known[part]


def _known(place: Any, name: str) -> dict[str, Any]:
    """Return all keys that a part of a configuration takes, with the value of each or None."""
    if isinstance(place, list):
        return {str(index): value for index, value in enumerate(place)}
    if not isinstance(place, Mapping):
        return {}
    known = {str(key): value for key, value in place.items()}
    target = "monai_lora_sam.adapters.lora_config" if name == "lora" else place.get("_target_")
    function = locate(target) if isinstance(target, str) else None
    if callable(function):
        known = {**dict.fromkeys(inspect.signature(function).parameters), **known}
    return known
