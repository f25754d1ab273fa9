"""Keys and values of a bundle's configuration, as the command line gives them."""

from __future__ import annotations

from collections.abc import Sequence
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


def bundle_and_keys(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the bundle's name and the other words of a command line, wherever the name stands.

    Raises:
        ValueError: no name.

    Example:
        >>> bundle_and_keys(["--epochs", "8", "vessel_segmentation"])
        ('vessel_segmentation', ['--epochs', '8'])
    """
    place = 0
    while place < len(arguments) and arguments[place].startswith("--"):
        place += 1 if "=" in arguments[place] else 2
    if place >= len(arguments):
        raise ValueError("expected the name of a bundle, such as vessel_segmentation, found none")
    return arguments[place], [*arguments[:place], *arguments[place + 1 :]]


def run_with_keys(arguments: Sequence[str], files: Sequence[str]) -> ConfigWorkflow:
    """Run a bundle with the keys of a command line, and return its finished workflow.

    Args:
        arguments: the bundle's name among keys and values, as of :func:`parse_keys`.
        files: of its configuration, each laid over the ones before it.

    Raises:
        ValueError: an unknown bundle or key, or a value outside its range.
    """
    bundle, rest = bundle_and_keys(arguments)
    keys = parse_keys(rest)

    from monai_lora_sam.workflows import run_bundle

    return run_bundle(bundle, files, keys)
