"""Read the grid of an ablation from YAML: cells, each with the settings of its trainings."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from monai_lora_sam.workflows import bundle_folder

#: Keys of a grid's file; the values say what each has to be.
KINDS: dict[str, type] = {
    "bundle": str,
    "files": list,
    "score": str,
    "also": list,
    "gradients": dict,
    "rank": str,
    "seeds": list,
    "common": dict,
    "grid": dict,
    "cells": list,
    "phases": list,
    "quick": dict,
}
WORDS = {str: "text", list: "a list", dict: "keys and values"}
#: Keys of the bundle that the script sets itself.
OWN = ("output_dir", "resume", "seed")
#: What makes a run short, where the bundle has the key. The grid's `quick` adds to it.
QUICK: dict[str, Any] = {
    "epochs": 1,
    "val_interval": 1,
    "batch_size": 2,
    "feature_variants": 1,
    "limit": None,
}


@dataclass(frozen=True)
class Cell:
    """Hold a cell: its own keys, and the settings of each of its trainings without folders and seed."""

    name: str
    keys: Mapping[str, Any]
    phases: tuple[dict[str, Any], ...]

    @property
    def folder(self) -> str:
        """Name of the cell's folder."""
        return re.sub(r"[^\w.=-]+", "_", self.name).strip("_")


@dataclass(frozen=True)
class Grid:
    """Hold a bundle, the score to compare by, the seeds and the cells.

    Attributes:
        also: further scores of the bundle for the table.
        gradients: blocks whose gradients are measured after training, by name, and where they are in the network.
        files: of the bundle, laid over its `train.yaml`.
        rank: key of the rank of LoRA that a guide is read off for; None for no guide.
    """

    bundle: str
    score: str
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    also: tuple[str, ...] = ()
    gradients: Mapping[str, str] = field(default_factory=dict)
    rank: str | None = None
    files: tuple[str, ...] = ()

    @property
    def configuration(self) -> list[str]:
        """Files that train the bundle, each laid over the ones before it."""
        return ["train.yaml", *self.files]


def read_grid(path: Path, given: Mapping[str, Any], quick: bool = False) -> Grid:
    """Read a grid.

    Args:
        path: of the YAML file.
        given: keys of the bundle that stand above those under `common`.
        quick: take one seed and short runs.

    Raises:
        ValueError: a file that is no grid; a score that the bundle has not; a key in two places.
    """
    content = _content(path)
    bundle, score = content["bundle"], content["score"]
    files = tuple(content.get("files", []))
    own = own_configuration(bundle, files)
    scores = [name for kind in ("key_metric", "additional_metrics") for name in own["validate"].get(kind, {})]
    if score not in scores:
        raise ValueError(f"{path}: score: expected one of {scores}, found {score!r}")
    also, gradients, rank = content.get("also", []), content.get("gradients", {}), content.get("rank")
    if unknown := [name for name in also if name not in scores]:
        raise ValueError(f"{path}: also: expected some of {scores}, found {unknown}")
    if wrong := [name for name, place in gradients.items() if not isinstance(place, str)]:
        raise ValueError(f"{path}: gradients: expected the place of blocks in the network, found {wrong}")
    seeds = content.get("seeds", [0])
    if not seeds or any(type(seed) is not int for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f"{path}: seeds: expected different whole numbers, found {seeds}")
    short = {key: value for key, value in QUICK.items() if key in own} | content.get("quick", {})
    cells = []
    for name, keys, phases in _cells(path, content):
        for key in given:
            if key in keys or any(key in phase for phase in phases):
                raise ValueError(f"--set: expected a key that is the same in all cells, found {key!r}")
        for phase in phases:
            if twice := sorted(keys.keys() & phase.keys()):
                raise ValueError(f"{path}: {name}: expected each key once, found {twice} in a phase too")
        common = content.get("common", {})
        settings = [
            {**common, **phase, **keys, **(short if quick else {}), **given} for phase in phases or [{}]
        ]
        for number, setting in enumerate(settings):
            _check_own(path, name, setting, phases[number] if number else {})
        for later in settings[1:]:
            later.pop("start_from", None)  # that of the first training
        cells.append(Cell(name, keys, tuple(settings)))
    folders = [cell.folder for cell in cells]
    if twice := sorted({folder for folder in folders if folders.count(folder) > 1 or not folder}):
        raise ValueError(f"{path}: expected cells of different names, found {twice} more than once")
    if rank is not None and not any(rank in cell.keys for cell in cells):
        raise ValueError(f"{path}: rank: expected a key that cells have, found {rank!r}")
    seeds = tuple(seeds[:1] if quick else seeds)
    return Grid(bundle, score, seeds, tuple(cells), tuple(also), gradients, rank, files)


def own_configuration(bundle: str, files: Iterable[str] = ()) -> dict[str, Any]:
    """Return the configuration that trains a bundle, with further files of the bundle laid over it.

    Raises:
        ValueError: no such bundle or file, or a bundle that is not trained.
    """
    folder = bundle_folder(bundle) / "configs"
    if not (folder / "train.yaml").is_file():
        raise ValueError(f"bundle: expected one that is trained, found {bundle!r}")
    own: dict[str, Any] = {}
    for file in ("train.yaml", *files):
        known = sorted(path.name for path in folder.glob("*.yaml"))
        if file not in known:
            raise ValueError(f"files: expected some of {known}, found {file!r}")
        own |= yaml.safe_load((folder / file).read_text(encoding="utf-8"))
    return own


def parse_settings(given: Iterable[str]) -> dict[str, Any]:
    """Return KEY=VALUE pairs by key, the values read as YAML.

    Raises:
        ValueError: no pair, or a value that is no YAML.

    Example:
        >>> parse_settings(["lora#r=4", "limit=null"])
        {'lora#r': 4, 'limit': None}
    """
    settings = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set: expected KEY=VALUE, found {text!r}")
        try:
            settings[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"--set {key}: expected a value in YAML, found {value!r}") from error
    return settings


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected YAML, found {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected keys and values, found {type(content).__name__}")
    for key, value in content.items():
        if key not in KINDS:
            near = get_close_matches(str(key), KINDS, n=1)
            hint = f"nearest: {near[0]}" if near else f"known: {', '.join(KINDS)}"
            raise ValueError(f"{path}: expected a key of a grid, found {key!r} ({hint})")
        if not isinstance(value, KINDS[key]):
            raise ValueError(f"{path}: {key}: expected {WORDS[KINDS[key]]}, found {value!r:.80}")
    for key in ("bundle", "score"):
        if key not in content:
            raise ValueError(f"{path}: expected the key {key!r}, found {sorted(content)}")
    if not content.get("grid") and not content.get("cells"):
        raise ValueError(f"{path}: expected cells under 'grid' or 'cells', found none")
    return content


def _cells(
    path: Path, content: Mapping[str, Any]
) -> Iterable[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Yield name, keys and phases of each cell: the cross product first, then those written by hand."""
    grid: dict[str, list[Any]] = content.get("grid", {})
    phases = _phases(path, content)
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"{path}: grid: {key}: expected a list of values, found {values!r:.80}")
    for chosen in itertools.product(*grid.values()) if grid else ():
        keys = dict(zip(grid, chosen, strict=True))
        yield ", ".join(f"{key}={_shown(value)}" for key, value in keys.items()), keys, phases
    for number, cell in enumerate(content.get("cells", []), start=1):
        if not isinstance(cell, dict) or not isinstance(cell.get("name"), str):
            raise ValueError(
                f"{path}: cell {number}: expected keys and values with a name, found {cell!r:.80}"
            )
        keys = {key: value for key, value in cell.items() if key not in ("name", "phases")}
        yield cell["name"], keys, _phases(path, cell) if "phases" in cell else phases


def _phases(path: Path, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    phases = content.get("phases", [])
    if not isinstance(phases, list) or not all(isinstance(phase, dict) for phase in phases):
        raise ValueError(f"{path}: phases: expected a list of keys and values, found {phases!r:.80}")
    return phases


def _check_own(path: Path, name: str, settings: Mapping[str, Any], later: Mapping[str, Any]) -> None:
    """Refuse keys that the script sets: folders, seeds, and the start of a training after the first one."""
    taken = [key for key in OWN if key in settings] + ["start_from"] * ("start_from" in later)
    if taken:
        raise ValueError(f"{path}: {name}: expected no key that the script sets itself, found {taken}")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
