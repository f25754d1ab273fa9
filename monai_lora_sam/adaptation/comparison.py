"""Score networks before and after adaptation, on cases that training never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_lora_sam.evaluation import SHIFT, evaluate_prompts, labelled_objects, mask_file
from monai_lora_sam.files import atomic_write
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.metrics import mean_with_interval, object_scores
from monai_lora_sam.networks import AdaptedSegmenter, PromptableSegmenter
from monai_lora_sam.prompting import find_objects
from monai_lora_sam.report import png

#: Kinds of prompt that are compared.
COMPARED_MODES = ("box", f"box shifted {SHIFT} px", "1 point", "5 points")
#: Name of the scores without a prompt, beside those kinds.
AUTOMATIC_MODE = "automatic"
#: Most images that are scored, evenly spaced over those held out.
MOST_SCORED = 50

Rows = list[dict[str, Any]]


def spaced(entries: Sequence[dict[str, Any]], count: int = MOST_SCORED) -> list[dict[str, Any]]:
    """Return at most so many entries, evenly spaced.

    Example:
        >>> [entry["image"] for entry in spaced([{"image": str(n)} for n in range(5)], 3)]
        ['0', '2', '4']
    """
    if count >= len(entries):
        return list(entries)
    return [entries[index] for index in np.linspace(0, len(entries) - 1, count).round().astype(int)]


def score(
    network: PromptableSegmenter,
    entries: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    out: str | Path,
    progress: Callable[[], Any] = lambda: None,
) -> Rows:
    """Score a network on every object by each of `COMPARED_MODES`; the rows of the decoder's single mask are returned.

    Args:
        network: on its device.
        entries, class_names: of a datalist.
        out: folder for scores and masks; a second run goes on where the first ended.
        progress: called after each image.
    """
    found = evaluate_prompts(
        network, entries, class_names, out, modes=COMPARED_MODES, colour=True, progress=progress
    )
    return [row for row in found.rows if row["choice"] == "single"]


def score_automatic(
    network: AdaptedSegmenter,
    entries: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    out: str | Path,
    progress: Callable[[], Any] = lambda: None,
) -> Rows:
    """Score a network that needs no prompt on every object that is there, and keep its masks.

    Args:
        network: on its device, in evaluation mode.
        entries, class_names: of a datalist.
        out: folder for the masks.
        progress: called after each image.

    Returns:
        a row for each object: `image`, `object`, `mode`, and the scores of `metrics.object_scores`.
    """
    rows: Rows = []
    for entry in entries:
        pixels = read_colour_image(entry["image"]).pixels
        found = {one.prompt.name: one.mask for one in find_objects(network, pixels, class_names)}
        for thing in labelled_objects(entry, class_names)[0]:
            scores = object_scores(found[thing.name], thing.mask)
            rows.append({"image": entry["image"], "object": thing.name, "mode": AUTOMATIC_MODE, **scores})
            atomic_write(mask_file(Path(out), rows[-1]), png(found[thing.name].astype(np.uint8) * 255))
        progress()
    return rows


def summarise_rows(before: Rows, after: Rows) -> list[dict[str, Any]]:
    """Return the items of :func:`compare`, or for scores without any before, an item for each kind of object.

    Those have `mode` (the object's name), `objects`, `after` and `after_interval`.

    Example:
        >>> summarise_rows([], [{"image": "a.png", "object": "vessel", "mode": "automatic", "dice": 0.75}])
        [{'mode': 'vessel', 'objects': 1, 'after': 0.75, 'after_interval': [0.75, 0.75]}]
    """
    if before:
        return compare(before, after)
    items = []
    for name in dict.fromkeys(row["object"] for row in after):
        mean = mean_with_interval([row["dice"] for row in after if row["object"] == name])
        interval = [mean["low"], mean["high"]]
        items.append(
            {"mode": name, "objects": mean["count"], "after": mean["mean"], "after_interval": interval}
        )
    return items


def compare(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return mean Dice before and after for each kind of prompt, and the mean gain with its 95 % interval.

    Args:
        before, after: rows of :func:`score` on the same objects.

    Returns:
        One item for each kind of prompt: `mode`, `objects`, `before`, `after`, `gain`, `gain_interval` (two numbers),
        `better` (number of objects that gained).

    Raises:
        ValueError: rows of other objects.

    Example:
        >>> row = {"image": "a.png", "object": "liver", "mode": "box"}
        >>> compare([row | {"dice": 0.5}], [row | {"dice": 0.75}])[0]["gain"]
        0.25
    """
    keys = [
        {(row["image"], row["object"], row["mode"]): row["dice"] for row in rows} for rows in (before, after)
    ]
    if keys[0].keys() != keys[1].keys():
        raise ValueError(
            f"expected the objects that were scored before, {len(keys[0])} rows, found {len(keys[1])} rows"
        )
    result = []
    for mode in COMPARED_MODES:
        own = [key for key in keys[0] if key[2] == mode]
        if not own:
            continue
        old, new = (np.array([scores[key] for key in own]) for scores in keys)
        gain = mean_with_interval(new - old)
        result.append(
            {
                "mode": mode,
                "objects": len(own),
                "before": float(old.mean()),
                "after": float(new.mean()),
                "gain": gain["mean"],
                "gain_interval": [gain["low"], gain["high"]],
                "better": int((new > old).sum()),
            }
        )
    return result
