"""Open the data sets of the benchmark: the same pictures for every method."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_lora_sam.data import (
    SPLITS,
    TASKS,
    LabelledVolume,
    few_shot,
    pixel_hash,
    prepare_labelled,
    read_datalist,
    read_decathlon,
)
from monai_lora_sam.files import atomic_file
from monai_lora_sam.images import read_image, read_label

ALL = "all"
#: Names by which an entry's own label, at its own size, stays known beside its scaled picture.
OWN_LABEL = "own_label"
#: Keys of an entry that matter here; others may hold paths relative to its datalist.
KEPT = ("image", "label", "case_id", "pixel_hash", "view", "pixel_spacing_mm", "modality", "axis", "slice")


@dataclass(frozen=True)
class BenchmarkData:
    """Hold a data set.

    Attributes:
        name: of its folder or datalist.
        class_names: background first.
        training: entries to draw from.
        evaluation: entries to score.
        volumes: labelled volumes by case, where the entries are slices of a Decathlon task.
        modality: of the volumes.
    """

    name: str
    class_names: tuple[str, ...]
    training: Sequence[dict[str, Any]]
    evaluation: Sequence[dict[str, Any]]
    volumes: Mapping[str, LabelledVolume]
    modality: str = ""

    def draw(self, size: int | str, seed: int) -> list[dict[str, Any]]:
        """Return the training entries of so many cases, which the seed draws; "all" returns all.

        Raises:
            ValueError: fewer cases than that.
        """
        if size == ALL:
            return list(self.training)
        try:
            return few_shot(self.training, int(size), seed)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error

    def labelled_volumes(self, entries: Sequence[Mapping[str, Any]]) -> list[LabelledVolume]:
        """Return the volumes of slices, each once."""
        return [self.volumes[case] for case in dict.fromkeys(entry["case_id"] for entry in entries)]


def open_data(
    source: Path,
    out: Path,
    split: str = "validation",
    task: str | None = None,
    image_size: int | None = None,
    progress: Callable[[int, int], Any] = lambda done, count: None,
) -> BenchmarkData:
    """Open a datalist, a Decathlon or COSMOS folder, and scale its pictures where a size is given.

    Args:
        source: see :func:`monai_lora_sam.data.prepare_labelled`.
        out: folder for slices and for scaled pictures.
        split: whose entries are scored.
        task: of data sets that serve several, such as "segments" of phantoms; None: the datalist's own labels.
        image_size: longest side in pixels of the pictures that every method reads; None: their own sizes. Scores are
            taken at the own size in any case.
        progress: called with the number of pictures done and of all.

    Raises:
        ValueError: entries without a label, an empty split, or a name that nnU-Net cannot take.
    """
    name = re.sub(
        r"[^A-Za-z0-9_-]+", "_", source.resolve().name if source.is_dir() else source.resolve().parent.name
    )
    datalist = prepare_labelled(source, out=out / name)
    content = TASKS.load(task)(datalist, task) if task else read_datalist(datalist)
    if split not in SPLITS[1:]:
        raise ValueError(f"--split: expected one of {SPLITS[1:]}, found {split!r}")
    for part in ("training", split):
        if not content[part]:
            raise ValueError(f"{datalist}: expected entries under {part!r}, found none")
        if bare := [entry["image"] for entry in content[part] if "label" not in entry]:
            raise ValueError(
                f"{datalist}: expected labels, found none of {bare[0]} ({len(bare)} such of {part})"
            )
    volumes: dict[str, LabelledVolume] = {}
    modality = ""
    if source.is_dir() and (source / "dataset.json").is_file():
        decathlon = read_decathlon(source)
        volumes = {volume.case_id: volume for volume in decathlon.volumes}
        modality = decathlon.modality(None) or ""
    parts = {
        part: [{key: entry[key] for key in KEPT if key in entry} for entry in content[part]]
        for part in ("training", split)
    }
    total, done = sum(map(len, parts.values())), 0
    for part, entries in parts.items():
        for index, entry in enumerate(entries):
            entry[OWN_LABEL] = entry["label"]
            if "pixel_hash" not in entry:  # by which copies stay together, whatever a draw takes
                entry["pixel_hash"] = pixel_hash(read_image(entry["image"]).pixels)
            content_hash = hashlib.sha256(Path(entry["label"]).read_bytes())
            content_hash.update(str(entry["pixel_hash"]).encode())
            entry["digest"] = content_hash.hexdigest()[:16]
            if image_size is not None:
                place = out / f"{name}_{image_size}" / f"{part}_{index:05d}_{entry['digest']}"
                _scale(entry, place, len(content["class_names"]), image_size)
            done += 1
            progress(done, total)
    return BenchmarkData(
        name, tuple(content["class_names"]), parts["training"], parts[split], volumes, modality
    )


def fit_to(prediction: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Scale a label map (H, W) to another shape, to the nearest label."""
    if prediction.shape == shape:
        return prediction
    return np.asarray(Image.fromarray(prediction).resize(shape[::-1], Image.Resampling.NEAREST))


def _scale(entry: dict[str, Any], place: Path, classes: int, side: int) -> None:
    """Write an entry's picture and label with the longest side given, unless they are there, and refer to them."""
    written = {key: place.with_name(f"{place.name}_{key}.png") for key in ("image", "label")}
    if not all(path.is_file() for path in written.values()):
        pixels = np.rint(read_image(entry["image"]).pixels * 255).astype(np.uint8)
        rows, columns = pixels.shape
        scale = side / max(rows, columns)
        size = max(round(columns * scale), 1), max(round(rows * scale), 1)
        label = read_label(entry["label"], classes)
        for key, array, how in (
            ("image", pixels, Image.Resampling.BILINEAR),  # PIL smooths before it shrinks
            ("label", label, Image.Resampling.NEAREST),
        ):
            with atomic_file(written[key]) as temporary:
                Image.fromarray(array).resize(size, how).save(temporary)
    entry |= {key: str(path) for key, path in written.items()}
