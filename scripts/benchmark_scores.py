"""Score label maps of every method by the same code, at each image's own size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from benchmark_data import OWN_LABEL, fit_to

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.metrics import label_map_to_instances, score_arcade_segments
from monai_lora_sam.images import read_label
from monai_lora_sam.metrics import centreline_dice, object_scores

#: Score → title; of distances less is better.
SCORES = {
    "dice": "Dice",
    "cldice": "clDice",
    "nsd": "NSD",
    "hd95_px": "HD95 (px)",
    "arcade": "ARCADE's F1",
}
LOWER_IS_BETTER = ("hd95_px",)
#: Pixels below which a predicted segment is left out for ARCADE's scorer: it gives 0 for a class too many.
LEAST_SEGMENT_PX = 50


def score_images(
    entries: Sequence[Mapping[str, Any]],
    predictions: Sequence[np.ndarray] | Callable[[int], np.ndarray],
    class_names: Sequence[str],
) -> list[dict[str, Any]]:
    """Score the prediction of each entry.

    A score is the mean over the classes in the truth or in the prediction: a class that is predicted where there is
    none counts 0. Distances are of classes in both. An image without either has no scores (None).

    Args:
        entries: with `image`, `own_label` and, where known, `case_id`.
        predictions: (H, W) class indices of each entry, of any size.
        class_names: background first. Those of ARCADE's segments add ARCADE's published score.

    Returns:
        `image`, `case` and the ``SCORES`` of each entry.
    """
    rows = []
    for index, entry in enumerate(entries):
        found = predictions(index) if callable(predictions) else predictions[index]
        truth = read_label(entry[OWN_LABEL], len(class_names))
        scores = score_image(fit_to(found, truth.shape), truth)
        if list(class_names) == list(ARCADE_CLASS_NAMES):
            instances = [
                [label_map_to_instances(truth)],
                [label_map_to_instances(fit_to(found, truth.shape), LEAST_SEGMENT_PX)],
            ]
            scores["arcade"] = score_arcade_segments(*instances).per_image[0]
        case = entry.get("case_id") or entry["image"]
        rows.append({"image": entry["image"], "case": str(case), **scores})
    return rows


def score_image(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Return the scores of a label map (H, W), see :func:`score_images`."""
    found: dict[str, list[float]] = {"dice": [], "cldice": [], "nsd": [], "hd95_px": []}
    for label in sorted((set(np.unique(prediction)) | set(np.unique(truth))) - {0}):
        own, true = prediction == label, truth == label
        if not true.any():
            for name in ("dice", "cldice", "nsd"):
                found[name].append(0.0)
            continue
        scores = object_scores(own, true)
        for name in ("dice", "nsd", "hd95_px"):
            found[name].append(scores[name])
        masks = [torch.from_numpy(mask)[None, None] for mask in (own, true)]
        found["cldice"].append(float(centreline_dice(*masks)))
    return {name: _mean(values) for name, values in found.items()}


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else None
