"""ARCADE's F1 scores of named segments and of stenoses, as published and corrected.

`official` equals, bit for bit, the code published by the challenge's organisers (github.com/cmctec/ARCADE,
`evaluation/evaluate_segmentation.py` and `evaluate_stenosis.py`; Popov et al., Sci Data 2024, doi
10.1038/s41597-023-02871-z): use it to compare with published results. It was written anew from that code's
behaviour, oddities included. It follows commit 9de821e of the scorer of segments and commit 35dad0d of that of
stenoses; the two treat an outline that crosses itself differently, see `repair_outlines` of `score_arcade_stenoses`.

- Segments: an image with one predicted class too many scores 0, however good the rest. Of each class only the first
  instance and its first ring count.
- Stenoses: each prediction takes the best truth, so two predictions of one lesion score 1 while another lesion is
  missed. A false positive counts as a 0 in the image's mean. "F1" is the overlap of areas (Dice), not of lesions.

`corrected` mends these oddities and keeps the mean over images:

- Segments: the F1 of areas of each class (all its instances and rings united), averaged over the classes
  in the truth or in the prediction, then over images.
- Stenoses: predictions and truths are paired one to one where their boxes' intersection over union is 0.5 or
  more; F1 = 2 pairs / (predictions + truths) for each image, then averaged over images.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean

import numpy as np
import shapely
from shapely import Polygon
from shapely.errors import ShapelyError

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES, ARCADE_STENOSIS_ID
from monai_lora_sam.coronary.metrics.arcade_instances import ArcadeInstance
from monai_lora_sam.coronary.metrics.lesion_matching import match_by_iou

VERSIONS = ("official", "corrected")

Instances = Sequence[ArcadeInstance]


@dataclass(frozen=True)
class ArcadeScore:
    """Hold a score with its parts.

    Attributes:
        f1: mean over the images that count; NaN if none does.
        per_image: in the order given; None for an image that does not count.
        skipped: number of images that do not count. `corrected` leaves out images without truth and prediction,
            `official` all images without truth (the published code stops with an error there).
        per_class: for segments, by category id: mean F1 over the images where the class counts.
    """

    f1: float
    per_image: list[float | None]
    skipped: int
    per_class: dict[int, float] = field(default_factory=dict)


def _polygon(ring: Sequence[float]) -> Polygon:
    return Polygon(list(zip(ring[0::2], ring[1::2], strict=True)))


def _official_f1(first: Polygon, second: Polygon, overlap: Polygon) -> float:
    """Return the published F1; in its order of operations, so that the last bit is the published one, too."""
    both = overlap.area
    precision = both / (both + second.difference(overlap).area)
    recall = both / (both + first.difference(overlap).area)
    return 2 * (precision * recall) / (precision + recall)


def _official_overlap(first_ring: Sequence[float], second_ring: Sequence[float], repair: bool) -> float:
    """Return the published F1 of two areas. Swapping them can change the last bit.

    Args:
        repair: take the area outside the overlap from repaired outlines even if the overlap came from the outlines
            as they are. The published scorer of segments does so. That of stenoses (commit 35dad0d) takes the outlines
            as they are and stops with an error at some that cross themselves; here overlap and areas are repaired then.
    """
    first, second = _polygon(first_ring), _polygon(second_ring)
    try:
        overlap = second.intersection(first)
        if overlap.area == 0:
            return 0.0
        if not repair:
            return _official_f1(first, second, overlap)
    except ShapelyError:  # An outline that crosses itself.
        overlap = second.buffer(0).intersection(first.buffer(0))
    if overlap.area == 0:
        return 0.0
    return _official_f1(first.buffer(0), second.buffer(0), overlap)


def _area(instances: Instances) -> shapely.Geometry:
    """Unite all rings of all instances; an outline that crosses itself encloses every area that it goes around."""
    rings = [_polygon(ring) for instance in instances for ring in instance["segmentation"]]
    return shapely.union_all([shapely.make_valid(ring).buffer(0) for ring in rings])


def _by_class(instances: Instances) -> dict[int, list[ArcadeInstance]]:
    groups: dict[int, list[ArcadeInstance]] = defaultdict(list)
    for instance in instances:
        groups[instance["category_id"]].append(instance)
    return dict(groups)


def _segments_official(truth: Instances, prediction: Instances) -> dict[int, float]:
    true, predicted = _by_class(truth), _by_class(prediction)
    if set(predicted) - set(true):
        return dict.fromkeys(true, 0.0)
    return {
        number: _official_overlap(
            of_class[0]["segmentation"][0], predicted[number][0]["segmentation"][0], True
        )
        if number in predicted
        else 0.0
        for number, of_class in true.items()
    }


def _segments_corrected(truth: Instances, prediction: Instances) -> dict[int, float]:
    true, predicted = _by_class(truth), _by_class(prediction)
    scores = {}
    for number in sorted(set(true) | set(predicted)):
        areas = [_area(groups.get(number, [])) for groups in (true, predicted)]
        size = areas[0].area + areas[1].area
        scores[number] = 2 * shapely.intersection(*areas).area / size if size else 0.0
    return scores


def _stenoses_official(truth: Instances, prediction: Instances, repair: bool) -> list[float]:
    if not truth:
        return []
    best = [
        max(_official_overlap(p["segmentation"][0], t["segmentation"][0], repair) for t in truth)
        for p in prediction
    ]
    return best + [0.0] * (len(truth) - len(best))


def _boxes_xyxy(instances: Instances) -> np.ndarray:
    boxes = np.array([instance["bbox"] for instance in instances], dtype=np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _stenoses_corrected(truth: Instances, prediction: Instances) -> list[float]:
    if not truth and not prediction:
        return []
    pairs = match_by_iou(_boxes_xyxy(prediction), _boxes_xyxy(truth), 0.5)
    return [2 * len(pairs) / (len(truth) + len(prediction))]


def _check(
    truth: Sequence[Instances], prediction: Sequence[Instances], version: str, categories: range
) -> None:
    if version not in VERSIONS:
        raise ValueError(f"version: expected one of {list(VERSIONS)}, found {version!r}")
    if len(truth) != len(prediction):
        raise ValueError(
            "expected instances of the same images, "
            f"found {len(truth)} in truth and {len(prediction)} in prediction"
        )
    for name, images in (("truth", truth), ("prediction", prediction)):
        found = {instance["category_id"] for image in images for instance in image}
        if unknown := sorted(found - set(categories)):
            raise ValueError(
                f"{name}: expected category ids from {categories[0]} to {categories[-1]}, found {unknown}"
            )


def _mean(values: Sequence[float]) -> float | None:
    return float(mean(values)) if values else None


def score_arcade_segments(
    truth: Sequence[Instances], prediction: Sequence[Instances], version: str = "official"
) -> ArcadeScore:
    """Score named segments as ARCADE's segmentation task does.

    Args:
        truth: for each image its instances, as published (`instances_from_coco`).
        prediction: for each image its instances, such as `label_map_to_instances` makes.
        version: "official" or "corrected", as this module describes them.

    Raises:
        ValueError: unknown version, different numbers of images, an id that is no segment's.

    Example:
        >>> truth = [label_map_to_instances(labels)]
        >>> score_arcade_segments(truth, truth, "official").f1
        1.0
    """
    _check(truth, prediction, version, range(1, len(ARCADE_CLASS_NAMES)))
    score = _segments_official if version == "official" else _segments_corrected
    images = [score(true, predicted) for true, predicted in zip(truth, prediction, strict=True)]
    per_image = [_mean(list(of_image.values())) for of_image in images]
    of_class: dict[int, list[float]] = defaultdict(list)
    for of_image in images:
        for number, value in of_image.items():
            of_class[number].append(value)
    return _summary(per_image, {number: float(mean(of_class[number])) for number in sorted(of_class)})


def score_arcade_stenoses(
    truth: Sequence[Instances],
    prediction: Sequence[Instances],
    version: str = "official",
    repair_outlines: bool = False,
) -> ArcadeScore:
    """Score stenoses as ARCADE's stenosis task does.

    Args:
        truth: for each image its instances, as published (`instances_from_coco`, `lesions_to_instances`).
        prediction: for each image its instances; confidence does not count, so leave weak instances out.
        version: "official" or "corrected", as this module describes them.
        repair_outlines: take areas outside the overlap from outlines repaired by Shapely's ``buffer(0)`` in every case,
            as the published scorer of segments does; `corrected` compares boxes and does not need it.

    Raises:
        ValueError: unknown version, different numbers of images, an id that is not the stenosis'.

    Example:
        >>> truth = [lesions_to_instances([{"box_xyxy": [10, 10, 30, 30]}, {"box_xyxy": [60, 60, 90, 90]}])]
        >>> twice = [[truth[0][0], truth[0][0]]]
        >>> [score_arcade_stenoses(truth, twice, version).f1 for version in VERSIONS]
        [1.0, 0.5]
    """
    _check(truth, prediction, version, range(ARCADE_STENOSIS_ID, ARCADE_STENOSIS_ID + 1))
    scores = [
        _stenoses_official(t, p, repair_outlines) if version == "official" else _stenoses_corrected(t, p)
        for t, p in zip(truth, prediction, strict=True)
    ]
    return _summary([_mean(score) for score in scores], {})


def _summary(per_image: list[float | None], per_class: dict[int, float]) -> ArcadeScore:
    counting = [value for value in per_image if value is not None]
    return ArcadeScore(
        f1=float(mean(counting)) if counting else math.nan,
        per_image=per_image,
        skipped=len(per_image) - len(counting),
        per_class=per_class,
    )
