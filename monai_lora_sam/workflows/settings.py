"""Check the settings of a running bundle: keys against its own files, values against its ``settings.yaml``."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from pydoc import locate
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from monai_lora_sam.workflows.causes import end_with_the_cause
from monai_lora_sam.workflows.values import check_value

#: Keys that MONAI itself adds.
_OF_MONAI = {"_meta_", *DEFAULT_MLFLOW_SETTINGS["configs"]}  # type: ignore[misc]


def checked_settings(*files: str) -> dict[str, dict[str, Any]]:
    """Check keys and values of the bundle that runs this expression, and return its settings for the record.

    A bundle's YAML calls it: ``settings: $checked_settings('train.yaml')``.

    Args:
        files: of the bundle's own configuration, each laid over the ones before it.

    Returns:
        settings by key: those that a resumed run has to share under ``fixed``, the others under ``free``. A
        datalist and a stage are recorded by their content.

    Raises:
        ValueError: an unknown key, or a value outside its range.
    """
    end_with_the_cause()
    workflow = _running_workflow()
    folder = Path(str(workflow.meta_file)).parent
    own = ConfigParser.load_config_files([str(folder / file) for file in files])
    declared = ConfigParser.load_config_file(str(folder / "settings.yaml"))
    config = workflow.parser.get()
    check_keys(config, own, declared["values"], files)
    found = {
        key: workflow.parser.get_parsed_content(key.replace("#", "::"))
        for key in declared["values"]
        if key.replace("#", "::") in workflow.parser
    }
    for key, value in found.items():
        check_value(key, value, declared["values"][key], found)
    record = {key: _recorded(value) for key, value in found.items()}
    for key, value in _different(config, own):
        # Samplers share images among processes: a run of one process reads what several have trained.
        if key not in found and key.partition("#")[0] not in _OF_MONAI and "#sampler" not in key:
            record[key] = json.loads(json.dumps(value, default=str))
    if "batch_size" in record:  # of a process: together they share a batch
        record["batch_size"] *= int(os.environ.get("WORLD_SIZE", "1"))
    free = set(declared["may_change"])
    return {
        "fixed": {key: value for key, value in record.items() if key not in free},
        "free": {key: value for key, value in record.items() if key in free},
    }


def check_keys(
    config: Mapping[str, Any], own: Mapping[str, Any], declared: Mapping[str, Any], files: tuple[str, ...]
) -> None:
    """Check that a configuration has no key that its bundle lacks.

    A further key on the top level may be there if another value refers to it. Inside a component the arguments of
    its class or function are known.

    Args:
        config: the configuration.
        own: that of the bundle's own files.
        declared: keys with a declared value, such as ``lora#layers``.
        files: names of the bundle's own files.

    Raises:
        ValueError: an unknown key; the nearest known one is named.
    """
    text = json.dumps(config, default=str)
    referred = set(re.findall(r"@(\w+)", text))
    known = set(own) | _OF_MONAI
    for key in config:
        if key not in known and key not in referred:
            raise _unknown(key, key, known, files)
    for key in config.keys() & own.keys():
        _check_inside(key, config[key], own[key], declared, files)


def _check_inside(
    place: str, value: Any, own: Any, declared: Mapping[str, Any], files: tuple[str, ...]
) -> None:
    refers = value is None or (isinstance(value, str) and value[:1] in ("$", "@", "%"))
    if isinstance(own, Mapping) and own and not isinstance(value, Mapping) and not refers:
        raise ValueError(f"--{place}: expected keys and values, found {value!r}")
    if isinstance(own, list) and isinstance(value, list) and len(own) == len(value):
        for index, (found, item) in enumerate(zip(value, own, strict=True)):
            _check_inside(f"{place}#{index}", found, item, declared, files)
    if not (isinstance(own, Mapping) and isinstance(value, Mapping)):
        return
    target = value.get("_target_")
    known: set[str] | None = {
        key.removeprefix(f"{place}#") for key in declared if key.startswith(f"{place}#")
    }
    if isinstance(target, str):
        function = locate(target)
        parameters = inspect.signature(function).parameters if callable(function) else {}
        if not parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            known = None
        else:
            known = (known or set()) | set(parameters)
    # A group without a component, such as the metrics by name, may get further entries.
    group = (
        target is None
        and place not in ("train", "validate", "data")
        and not (known or set()) & set(own) - {"_target_"}
    )
    for key, inside in value.items():
        name = str(key)
        if (
            known is not None
            and not group
            and not name.startswith("_")
            and name not in known | _same(own, target)
        ):
            raise _unknown(f"{place}#{name}", name, known | _same(own, target), files)
        if key in own and target == own.get("_target_"):
            _check_inside(f"{place}#{name}", inside, own[key], declared, files)


def _same(own: Mapping[str, Any], target: Any) -> set[str]:
    """Return the keys of a component of the bundle's own, if the configuration has the same one."""
    return set(map(str, own)) if own.get("_target_") == target else set()


def _unknown(whole: str, part: str, known: set[str], files: tuple[str, ...]) -> ValueError:
    close = get_close_matches(part, sorted(known), n=1)
    parent = whole.removesuffix(part)
    more = f" (nearest: --{parent}{close[0]})" if close else ""
    if not close and parent:
        more = f" (known: {', '.join(sorted(known))})"
    return ValueError(f"--{whole}: expected a key of {', '.join(files)}, found {part!r}{more}")


def _running_workflow() -> ConfigWorkflow:
    """Return the workflow that evaluates this expression: MONAI gives an expression no handle on it."""
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, ConfigWorkflow):
            return owner
        frame = frame.f_back  # type: ignore[assignment]
    raise RuntimeError("expected to be called by a running bundle")


def _different(config: Any, own: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of a configuration whose values differ from those of the bundle's own files."""
    if isinstance(config, Mapping) and isinstance(own, Mapping):
        for key in config:
            yield from _different(config[key], own.get(key), f"{place}#{key}" if place else str(key))
    elif config != own:
        yield place, config


def _recorded(value: Any) -> Any:
    """Return a value as JSON; a datalist or the folder of a stage becomes its content's hash."""
    if isinstance(value, str | Path):
        path = Path(value)
        card = path / "card.json"
        try:
            if path.name.endswith(".json") and path.is_file():
                content = json.loads(path.read_text(encoding="utf-8"))
                splits = {split: content.get(split) or [] for split in ("training", "validation")}
                digest = hashlib.sha256(json.dumps(splits, sort_keys=True).encode()).hexdigest()
                counts = " and ".join(f"{len(entries)} {split}" for split, entries in splits.items())
                return f"{counts} entries ({digest[:12]})"
            if card.is_file():
                return f"stage {hashlib.sha256(card.read_bytes()).hexdigest()[:12]}"
        except (OSError, ValueError, AttributeError, RecursionError):
            return str(value)
    return (
        value
        if isinstance(value, bool | int | float | str | None)
        else json.loads(json.dumps(value, default=str))
    )
