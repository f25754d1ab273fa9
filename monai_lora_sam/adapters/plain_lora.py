"""Read PEFT's configuration of a plain LoRA adapter, and refuse everything beyond it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig

#: Largest rank: wider than every layer of a named encoder (5120).
LARGEST_RANK = 8192
#: Largest `lora_alpha`: far beyond use (once or twice the rank); larger ones overflow.
LARGEST_ALPHA = 65536

_CONFIG_KEYS = ("r", "lora_alpha", "lora_dropout", "target_modules", "layers_to_transform", "layers_pattern")
# PEFT's notes in a configuration about itself, the base and the task, which no loading of ours uses.
_CONFIG_NOTES = (
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "peft_type",
    "peft_version",
    "revision",
    "task_type",
)


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number, and neither a truth value nor text."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_rank(r: Any, alpha: Any, dropout: Any) -> None:
    """Raise a ``ValueError`` unless rank, alpha and dropout are those of an adapter that can compute."""
    if not isinstance(r, int) or isinstance(r, bool) or not 1 <= r <= LARGEST_RANK:
        raise ValueError(f"r={r!r:.40}: expected a whole number from 1 to {LARGEST_RANK}")
    if not is_number(alpha) or not 0 < alpha <= LARGEST_ALPHA:
        raise ValueError(f"alpha={alpha!r:.40}: expected a number above 0, at most {LARGEST_ALPHA}")
    if not is_number(dropout) or not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout!r:.40}: expected 0 up to but not including 1")


def plain_lora_config(found: Mapping[str, Any], path: Path) -> LoraConfig:
    """Build PEFT's configuration from the plain LoRA entries alone.

    PEFT's configurations can ask for much more (importing modules, changing the base at initialisation,
    regular expressions, other scales). None of that is written by this package, so a file that asks for it is
    refused.

    Raises:
        ValueError: if the entries are no plain LoRA configuration; ``path`` and the entry are named.
    """
    if found.get("peft_type") != "LORA":
        raise ValueError(f"{path}: expected peft_type 'LORA', found {found.get('peft_type')!r:.80}")
    targets = found.get("target_modules")
    if not _are_names(targets):
        raise ValueError(f"{path}: expected target_modules as a list of names, found {targets!r:.80}")
    try:
        check_rank(found.get("r"), found.get("lora_alpha"), found.get("lora_dropout", 0.0))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    layers, pattern = found.get("layers_to_transform"), found.get("layers_pattern")
    indices = layers if isinstance(layers, list) else [layers]
    if layers is not None and not all(type(i) is int and i >= 0 for i in indices):
        raise ValueError(f"{path}: expected layers_to_transform as indices of blocks, found {layers!r:.80}")
    # PEFT reads a pattern as a regular expression.
    if pattern is not None and not all(name.isidentifier() for name in _names(pattern)):
        raise ValueError(
            f"{path}: expected layers_pattern as names of lists of blocks, found {pattern!r:.80}"
        )
    try:
        config = LoraConfig(**{key: found[key] for key in _CONFIG_KEYS if found.get(key) is not None})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a plain LoRA configuration, PEFT refuses it: {error}") from error
    plain = json.loads(json.dumps(config.to_dict(), default=sorted))
    for key, value in found.items():
        default = plain.get(key)
        if key == "init_lora_weights" and value in (False, "gaussian"):
            continue  # other values at the start of training, on an unchanged base
        if key not in (*_CONFIG_KEYS, *_CONFIG_NOTES) and value != default and (value or default):
            raise ValueError(f"{path}: {key:.80}: expected {default!r} as in plain LoRA, found {value!r:.80}")
    return config


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def _names(value: Any) -> list[str]:
    """Return names from a name or a list of them; a list of no identifier for anything else."""
    if isinstance(value, str):
        return [value]
    return value if _are_names(value) else [""]
