"""Turn a folder of the Medical Segmentation Decathlon into a datalist of slices.

Antonelli et al., "The Medical Segmentation Decathlon", Nature Communications 2022; 13: 4128.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from monai_lora_sam.data.datalist import write_datalist
from monai_lora_sam.data.dataset_errors import ErrorList
from monai_lora_sam.data.splits import split_for_validation
from monai_lora_sam.data.volume_slices import LabelledVolume, Progress, SliceSettings, write_volume_slices
from monai_lora_sam.files import read_json

#: Pattern in the name of a modality → DICOM's name. "ADC" and "FLAIR" are sequences of MR.
MODALITY_NAMES = MappingProxyType(
    {r"^ct\b": "CT", r"^pet\b": "PT", r"^us\b|ultrasound": "US", r"mri?\b|flair|^t[12]|^adc\b|^pd\b": "MR"}
)


@dataclass(frozen=True)
class DecathlonTask:
    """Hold a task as its ``dataset.json`` tells it.

    Attributes:
        name: of the task.
        class_names: background first; a label's value is its index.
        modalities: of the channels, as the file names them.
        volumes: the training pairs.
    """

    name: str
    class_names: list[str]
    modalities: list[str]
    volumes: list[LabelledVolume]

    def modality(self, channel: int | None) -> str | None:
        """Return DICOM's name of a channel's modality, or the file's own name where it is unknown."""
        name = self.modalities[channel or 0] if self.modalities else ""
        known = (short for word, short in MODALITY_NAMES.items() if re.search(word, name.strip().lower()))
        return next(known, name or None)


def read_decathlon(root: str | Path) -> DecathlonTask:
    """Read the ``dataset.json`` of a task of the Medical Segmentation Decathlon.

    Doubles that macOS leaves (``._liver_1.nii.gz``) are passed over.

    Args:
        root: folder with ``dataset.json``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: labels that do not count from 0 without gaps, no training pairs, or a pair without image or label,
            outside the folder, or of a name that another pair has.

    Example:
        >>> read_decathlon("Task04_Hippocampus").class_names  # doctest: +SKIP
        ['background', 'Anterior', 'Posterior']
    """
    path = Path(root) / "dataset.json"
    content = read_json(path)
    modalities = content.get("modality") or {}
    if not isinstance(modalities, dict) or not all(isinstance(name, str) for name in modalities.values()):
        raise ValueError(f"{path}: modality: expected names by channel, found {modalities!r:.200}")
    task = DecathlonTask(
        str(content.get("name") or path.parent.absolute().name),
        _class_names(path, content.get("labels")),
        [modalities[key] for key in sorted(modalities, key=lambda key: (len(key), key))],
        _volumes(path, content.get("training")),
    )
    return task


def prepare_decathlon(
    root: str | Path,
    out: str | Path,
    settings: SliceSettings | None = None,
    validation_fraction: float = 0.2,
    seed: int = 0,
    progress: Progress = lambda done, count: None,
) -> Path:
    """Write the slices of a Decathlon task's training volumes, and a datalist of them that is split by volume.

    Args:
        root: folder with ``dataset.json``.
        out: folder for ``slices`` and ``datalist.json``.
        settings: see :class:`SliceSettings`; `channel` is needed where the volumes have several.
        validation_fraction: share of the slices for validation, 0 to 1.
        seed: another seed gives another split.
        progress: called with the number of volumes done and of all.

    Returns:
        path of the datalist; its class names are those of ``dataset.json``.

    Raises:
        DatasetError, ValueError: see :func:`read_decathlon`, :func:`write_volume_slices`; also for a channel that is
            missing or not there, and for too few volumes to split.

    Example:
        >>> prepare_decathlon("Task04_Hippocampus", "data/hippocampus")  # doctest: +SKIP
        PosixPath('data/hippocampus/datalist.json')
    """
    settings, out = settings or SliceSettings(), Path(out)
    task = read_decathlon(root)
    _check_channel(Path(root) / "dataset.json", task.modalities, settings.channel)
    warnings: list[str] = []
    entries = write_volume_slices(
        task.volumes, out, task.class_names, settings, task.modality(settings.channel), warnings, progress
    )
    return write_datalist(
        out / "datalist.json",
        name=task.name,
        task="objects",
        class_names=task.class_names,
        splits=split_for_validation(entries, validation_fraction, seed),
        warnings=warnings,
    )


def _check_channel(path: Path, modalities: list[str], channel: int | None) -> None:
    several = len(modalities) > 1
    if several == (channel is not None) and (channel or 0) < max(1, len(modalities)):
        return
    choices = ", ".join(f"{index} {name}" for index, name in enumerate(modalities))
    expected = f"a channel out of {choices}" if several else "no channel, since the volumes have one"
    raise ValueError(f"{path}: expected {expected}, found {'none' if channel is None else channel}")


def _class_names(path: Path, labels: Any) -> list[str]:
    try:
        names = {int(value): str(name) for value, name in labels.items()}
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"{path}: labels: expected names by value, such as {{'0': 'background', '1': 'liver'}}, "
            f"found {labels!r:.200}"
        ) from None
    if sorted(names) != list(range(len(names))) or not 2 <= len(names) <= 256:
        raise ValueError(
            f"{path}: labels: expected values from 0 without gaps, 2 to 256 of them, found {sorted(names)!s:.200}"
        )
    if len(set(names.values())) < len(names):
        raise ValueError(f"{path}: labels: expected a name of its own for each value, found {names!r:.200}")
    return [names[value] for value in range(len(names))]


def _volumes(path: Path, pairs: Any) -> list[LabelledVolume]:
    """Return the training pairs, or raise all their errors together."""
    if not isinstance(pairs, list) or not pairs:
        raise ValueError(
            f"{path}: training: expected a list of pairs of image and label, found {pairs!r:.200}"
        )
    errors = ErrorList()
    volumes: dict[str, LabelledVolume] = {}
    for index, pair in enumerate(pairs):
        found = [_inside(path, index, pair, key, errors) for key in ("image", "label")]
        image, label = found
        if image is None or label is None or image.name.startswith("._"):
            continue
        case_id = image.name.removesuffix(".gz").removesuffix(".nii")
        if case_id in volumes:
            errors.add(
                path, f"training[{index}]: expected a name of its own, found {image.name} a second time"
            )
        volumes[case_id] = LabelledVolume(image, label, case_id)
    errors.raise_if_any()
    return list(volumes.values())


def _inside(path: Path, index: int, pair: Any, key: str, errors: ErrorList) -> Path | None:
    """Return a file below the folder of ``dataset.json``; None and a note where the entry is wrong."""
    value = pair.get(key) if isinstance(pair, Mapping) else None
    if not isinstance(value, str) or not value or "\0" in value:
        errors.add(path, f"training[{index}]: expected the path '{key}', found {pair!r:.200}")
        return None
    inside = os.path.normpath(value)
    if os.path.isabs(inside) or inside.split(os.sep)[0] == os.pardir:
        errors.add(path, f"training[{index}]: {key}: expected a file inside {path.parent}, found {value!r}")
        return None
    return path.parent / inside
