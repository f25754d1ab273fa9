"""Check every labelled image before an adaptation, and list all problems together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monai_lora_sam.data import SMALLEST_OBJECT, ErrorList, Progress
from monai_lora_sam.evaluation import labelled_objects
from monai_lora_sam.images import read_colour_image


@dataclass
class DataFacts:
    """Hold facts about labelled images.

    Attributes:
        images: number of them.
        cases: number of cases.
        objects: number of objects by name.
        smallest_share: area of the smallest object, as a share of its image scaled to a square.
    """

    images: int = 0
    cases: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    smallest_share: float = 1.0


def check_data(
    entries: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    progress: Progress = lambda done, count: None,
) -> DataFacts:
    """Read every image and its label, and count the objects.

    Args:
        entries: of a datalist.
        class_names: of the datalist, background first.
        progress: called with the number of images done and of all.

    Raises:
        DatasetError: all problems together, by file: an image or a label that is missing, damaged or not finite, sizes
            that differ, unknown values, no object of 51 pixels or more.

    Example:
        >>> facts = check_data(data.entries, data.class_names)  # doctest: +SKIP
        >>> facts.objects  # doctest: +SKIP
        Counter({'liver': 40})
    """
    errors, facts = ErrorList(), DataFacts()
    cases = set()
    for number, entry in enumerate(entries, 1):
        shape = None
        try:
            shape = read_colour_image(entry["image"]).pixels.shape[:2]
        except (ValueError, OSError) as error:
            errors.add(entry["image"], str(error))
        try:
            objects, _ = labelled_objects(entry, class_names, smallest=1)
        except (ValueError, OSError) as error:
            errors.add(entry.get("label") or entry["image"], str(error))
            objects = []
        else:
            largest = max((int(thing.mask.sum()) for thing in objects), default=0)
            if largest < SMALLEST_OBJECT:
                errors.add(
                    entry["label"],
                    f"expected an object of {SMALLEST_OBJECT} pixels or more, found "
                    + (f"{largest} pixels" if largest else "only background"),
                )
        for thing in objects:
            if shape is not None and thing.mask.shape != shape:
                errors.add(
                    entry["label"],
                    f"expected {shape} (rows, columns) as in {entry['image']}, found {thing.mask.shape}",
                )
                break
            facts.objects[thing.name] += 1
            facts.smallest_share = min(
                facts.smallest_share, float(thing.mask.sum()) / max(thing.mask.shape) ** 2
            )
        cases.add(str(entry.get("case_id") or entry["image"]))
        progress(number, len(entries))
    errors.raise_if_any()
    facts.images, facts.cases = len(entries), len(cases)
    return facts
