"""Read the images of datalists with the phrases that name their objects, and those that name none."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_lora_sam.data.combine import TASKS
from monai_lora_sam.data.datalist import read_datalist
from monai_lora_sam.data.dataset_errors import ErrorList
from monai_lora_sam.images import read_label

KEPT = ("image", "label", "case_id", "pixel_hash", "modality", "dataset")


def phrase_entries(
    datalists: str | Path | Sequence[str | Path], split: str, task: str | None = None
) -> list[dict[str, Any]]:
    """Return the entries of a split with the phrases that are known of each image.

    Three forms are read. An entry with `phrases` has the mask of each phrase, or null for one that names nothing in
    the image: ``{"left kidney": "masks/1.png", "spleen": null}``; a phrase that an entry does not list is unknown
    of it. An entry with a label and `objects`, as of COSMOS-1050K, or with a label in a datalist with
    `class_names`, has the names as phrases; a name of the datalists that the label lacks is absent. A datalist may
    give several values one phrase by its own key `phrases`: ``{"left kidney": [2], "kidney": [1, 2]}``.

    Args:
        datalists: one or several.
        split: ``training``, ``validation`` or ``test``.
        task: reads the datalists by the function that a package offers for this task, such as ``artery_phrases``.

    Returns:
        entries with `image`, `masks`, a path or a list of the label's values by phrase, and `absent`, the absent ones.

    Raises:
        DatasetError: all images without phrases, or whose masks cannot be read, together.
        FileNotFoundError, ValueError: a missing or damaged datalist, or no image in the split.

    Warns:
        UserWarning: no image has an absent phrase, so that a network learns to find anything.

    Example:
        >>> phrase_entries("organs/datalist.json", "training")[0]["absent"]  # doctest: +SKIP
        ['spleen']
    """
    paths = [datalists] if isinstance(datalists, str | Path) else list(datalists)
    contents = [read_datalist(path) if task is None else TASKS.load(task)(path, task) for path in paths]
    named = [_values_by_phrase(content) for content in contents]
    known = list(dict.fromkeys(phrase for names in named for phrase in names))
    errors = ErrorList()
    found: dict[str, dict[str, Any]] = {}
    for path, content, names in zip(paths, contents, named, strict=True):
        for entry in content[split]:
            try:
                masks, absent = _phrases_of(entry, Path(path), names, known)
            except (OSError, ValueError) as error:
                errors.add(entry["image"], str(error))
                continue
            kept = {key: entry[key] for key in KEPT if entry.get(key) is not None}
            found[entry["image"]] = {**kept, "masks": masks, "absent": absent, "file": entry["image"]}
    errors.raise_if_any()
    if not found:
        raise ValueError(f"{', '.join(map(str, paths))}: expected images under {split!r}, found none")
    if not any(entry["absent"] for entry in found.values()):
        warnings.warn(
            f"{', '.join(map(str, paths))}: {split}: no image has an absent phrase, so that the network learns to find "
            "whatever it is asked for: list phrases with null, or add images without the objects",
            stacklevel=2,
        )
    return list(found.values())


def vocabulary_of(*splits: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return all phrases of entries, sorted.

    Example:
        >>> vocabulary_of([{"masks": {"liver": [1]}, "absent": ["aorta"]}])
        ['aorta', 'liver']
    """
    return sorted(
        {phrase for split in splits for entry in split for phrase in (*entry["masks"], *entry["absent"])}
    )


def phrase_weights(
    entries: Sequence[Mapping[str, Any]], vocabulary: Sequence[str], largest: float = 8.0
) -> list[float]:
    """Return the weight of each phrase in a loss: the inverse root of the images that show it, their mean being 1.

    Args:
        entries: of the training split.
        vocabulary: phrases in the order of the weights; one that no image shows counts as in one.
        largest: upper limit of a weight.

    Example:
        >>> phrase_weights([{"masks": {"a": [1]}}, {"masks": {"a": [1]}}], ["a", "b"])
        [0.8284, 1.1716]
    """
    shown = [max(1, sum(phrase in entry["masks"] for entry in entries)) for phrase in vocabulary]
    inverse = 1 / np.sqrt(shown)
    return [round(float(weight), 4) for weight in np.minimum(inverse / inverse.mean(), largest)]


def _values_by_phrase(content: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the values of a datalist's labels by phrase, from its `phrases`, its classes or its images' objects."""
    given = content.get("phrases")
    if isinstance(given, dict) and all(isinstance(values, list) and values for values in given.values()):
        return {str(phrase): [int(value) for value in values] for phrase, values in given.items()}
    objects: dict[str, list[int]] = {
        one["name"]: []
        for split in ("training", "validation", "test")
        for entry in content.get(split) or []
        for one in entry.get("objects") or []
    }
    if objects:
        return objects
    return {name: [value] for value, name in enumerate(content.get("class_names") or []) if value}


def _phrases_of(
    entry: Mapping[str, Any], datalist: Path, names: Mapping[str, list[int]], known: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the mask of each phrase of an entry, and its absent phrases."""
    given = entry.get("phrases")
    if given is not None:
        if not isinstance(given, dict) or not given:
            raise ValueError(f"expected phrases with the path of a mask or null each, found {given!r:.80}")
        files = {}
        for phrase, path in given.items():
            if path is None:
                continue
            target = Path(os.path.realpath(datalist.parent / str(path)))
            if not target.is_file():
                raise ValueError(f"{phrase!r}: expected a mask, found nothing at {target}")
            files[phrase] = str(target)
        return files, [phrase for phrase, path in given.items() if path is None]
    if entry.get("label") is None:
        raise ValueError("expected phrases or a label, found neither")
    shown = set(np.unique(read_label(entry["label"], 256)).tolist())
    values = {one["name"]: [one["grey_level"]] for one in entry.get("objects") or []} or names
    if shown == {0, 255} and [1] in values.values():
        shown = {0, 1}  # a mask of 0 and 255
    masks = {phrase: levels for phrase, levels in values.items() if shown & set(levels)}
    unnamed = shown - {0} - {level for levels in values.values() for level in levels}
    if unnamed and not entry.get("objects"):  # which leave out objects of a few pixels
        raise ValueError(
            f"{entry['label']}: expected a name for each value, found none for {sorted(unnamed)[:10]}"
        )
    return masks, [phrase for phrase in known if phrase not in masks]
