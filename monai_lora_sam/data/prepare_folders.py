"""Turn two folders, of pictures or volumes and their masks, into a datalist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_lora_sam.data.datalist import write_datalist
from monai_lora_sam.data.dataset_errors import ErrorList
from monai_lora_sam.data.folders import datalist_from_folders, files_by_stem
from monai_lora_sam.data.splits import split_for_validation
from monai_lora_sam.data.volume_slices import LabelledVolume, Progress, SliceSettings, write_volume_slices
from monai_lora_sam.images import is_volume

#: Task of pictures without masks.
UNLABELLED = "unlabelled"


def prepare_folders(
    images: str | Path,
    masks: str | Path | None,
    out: str | Path,
    class_names: Sequence[str] = ("background", "foreground"),
    task: str = "segmentation",
    settings: SliceSettings | None = None,
    modality: str | None = None,
    validation_fraction: float = 0.2,
    seed: int = 0,
    progress: Progress = lambda done, count: None,
) -> Path:
    """Pair images with the masks of the same name, split them by case and write a datalist.

    Pictures stay where they are, with their colours. Volumes (NIfTI of several slices) are written as slices, see
    :func:`write_volume_slices`.

    Args:
        images: folder of pictures, or of volumes.
        masks: folder of masks of the same names: indices of `class_names`; 0/255 serves for two classes. None lists
            pictures alone, under the task ``unlabelled``.
        out: folder for ``datalist.json`` and, of volumes, ``slices``.
        class_names: background first, no name twice.
        task: by which bundles know the masks.
        settings: of volumes; None for pictures.
        modality: DICOM's name ("CT", "MR"); None where the files do not tell.
        validation_fraction: share of the images for validation, 0 to 1.
        seed: another seed gives another split.
        progress: called with the number of volumes done and of all; not for pictures.

    Returns:
        path of the datalist.

    Raises:
        DatasetError: all errors of the files together.
        ValueError: pictures and volumes in one folder, settings of volumes for pictures, a class name twice, or too few
            cases to split.

    Example:
        >>> prepare_folders("fundus/images", "fundus/masks", "data/fundus", ["background", "vessel"])  # doctest: +SKIP
        PosixPath('data/fundus/datalist.json')
    """
    out, class_names = Path(out), list(class_names)
    if len(class_names) < 2 or len(set(class_names)) < len(class_names) or not all(class_names):
        raise ValueError(
            f"class names: expected background and one or more others, none twice, found {class_names}"
        )
    warnings: list[str] = []
    if _holds_volumes(Path(images)):
        if masks is None:
            raise ValueError(f"{images}: expected a folder of masks for volumes, found none")
        volumes = _volume_pairs(Path(images), Path(masks))
        entries = write_volume_slices(volumes, out, class_names, settings, modality, warnings, progress)
    else:
        if settings not in (None, SliceSettings()):
            raise ValueError(
                f"{images}: expected volumes for window, axis, channel and slices, found pictures: {settings}"
            )
        entries = datalist_from_folders(images, masks, len(class_names), warnings)
        for entry in entries:
            entry["modality"] = modality or entry["modality"]
    return write_datalist(
        out / "datalist.json",
        name=out.name,
        task=UNLABELLED if masks is None else task,
        class_names=[] if masks is None else class_names,
        splits=split_for_validation(entries, validation_fraction, seed),
        warnings=warnings,
    )


def _holds_volumes(images: Path) -> bool:
    """Say whether a folder holds volumes; refuse one that holds pictures as well."""
    kinds: dict[bool, Path] = {}
    for path in files_by_stem(images, ErrorList()).values():
        try:
            kinds.setdefault(is_volume(path), path)
        except (ValueError, OSError):  # reported with all others when it is read
            continue
    if len(kinds) > 1:
        raise ValueError(
            f"{images}: expected pictures or volumes, found both: {kinds[False].name} and {kinds[True].name}"
        )
    return True in kinds


def _volume_pairs(images: Path, masks: Path) -> list[LabelledVolume]:
    """Pair volumes with their masks, or raise all that lack a partner together."""
    errors = ErrorList()
    volumes, labels = files_by_stem(images, errors), files_by_stem(masks, errors)
    for stem in sorted(set(volumes) ^ set(labels)):
        lacks, where = ("a mask", masks) if stem in volumes else ("an image", images)
        errors.add(
            volumes.get(stem) or labels[stem], f"expected {lacks} of the same name in {where}, found none"
        )
    errors.raise_if_any()
    return [LabelledVolume(path, labels[stem], stem) for stem, path in sorted(volumes.items())]
