"""Read the objects that an entry of a datalist labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_lora_sam.data import SMALLEST_OBJECT
from monai_lora_sam.images import read_label


@dataclass(frozen=True)
class LabelledObject:
    """Hold one object of an image: its name and its mask (H, W) bool."""

    name: str
    mask: NDArray[np.bool_]


def labelled_objects(
    entry: Mapping[str, Any], class_names: Sequence[str], smallest: int = SMALLEST_OBJECT
) -> tuple[list[LabelledObject], int]:
    """Return the objects of an entry, and the number of those that are too small.

    All pixels of one grey level are one object. The key `objects` names the grey levels, as `prepare cosmos` writes it;
    without it they are the datalist's classes.

    Args:
        entry: with `label` and perhaps `objects`.
        class_names: of the datalist, background first.
        smallest: fewest pixels of an object that counts.

    Raises:
        ValueError: no label, an unreadable one, or one without names for its levels.

    Example:
        >>> objects, too_small = labelled_objects(entry, ["background", "liver"])  # doctest: +SKIP
    """
    if not entry.get("label"):
        raise ValueError(f"{entry['image']}: expected a label, found none")
    if entry.get("objects") is None:
        if len(class_names) < 2:
            raise ValueError(
                f"{entry['label']}: expected names of classes in the datalist, found {class_names}"
            )
        levels = read_label(entry["label"], len(class_names))
        names = dict(enumerate(class_names[1:], 1))
    else:
        levels = read_label(entry["label"], 256)
        names = {thing["grey_level"]: thing["name"] for thing in entry["objects"]}
    found = [LabelledObject(name, levels == level) for level, name in names.items()]
    found = [thing for thing in found if thing.mask.any()]
    kept = [thing for thing in found if thing.mask.sum() >= smallest]
    return kept, len(found) - len(kept)
