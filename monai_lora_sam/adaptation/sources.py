"""Open labelled data for an adaptation: any known form becomes one datalist with held-out cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_lora_sam.data import (
    SPLITS,
    Progress,
    object_names,
    prepare_labelled,
    read_datalist,
    split_for_validation,
    write_datalist,
)


@dataclass(frozen=True)
class AdaptationData:
    """Hold labelled images for training, and others to choose and to score the adapter by.

    Attributes:
        datalist: the file.
        class_names: background first.
        training, validation, test: entries; `test` may be empty.
        notes: warnings of the preparation.
    """

    datalist: Path
    class_names: list[str]
    training: list[dict[str, Any]]
    validation: list[dict[str, Any]]
    test: list[dict[str, Any]]
    notes: list[str]

    @property
    def held_out(self) -> list[dict[str, Any]]:
        """The entries that score the adapter: the data's own test images, or else those of validation."""
        return self.test or self.validation

    @property
    def entries(self) -> list[dict[str, Any]]:
        """All entries."""
        return [*self.training, *self.validation, *self.test]


def open_data(
    images: str | Path,
    masks: str | Path | None,
    out: str | Path,
    *,
    class_names: Sequence[str] = (),
    modality: str | None = None,
    seed: int = 0,
    progress: Progress = lambda done, count: None,
) -> AdaptationData:
    """Prepare labelled data of any known form, with a fifth of the cases for validation where it has no split.

    Args:
        images, masks: two folders; or a datalist, a Decathlon or COSMOS folder, and None.
        out: folder for `datalist.json` and the slices of volumes.
        class_names: of two folders: names of the values 1, 2, …; none for "foreground".
        modality: of two folders: DICOM's name ("CT", "MR").
        seed: of the split.
        progress: called with the number of images or volumes done and of all.

    Raises:
        ValueError, FileNotFoundError: see :func:`monai_lora_sam.data.prepare_labelled`; also fewer than two cases.

    Example:
        >>> data = open_data("fundus/images", "fundus/masks", "adapters/fundus/data")  # doctest: +SKIP
    """
    names = ["background", *class_names] if class_names else None
    source = prepare_labelled(
        images, masks, out=out, class_names=names, modality=modality, seed=seed, progress=progress
    )
    content = read_datalist(source)
    splits = {split: content[split] for split in SPLITS}
    if not splits["validation"]:
        if not splits["training"]:
            raise ValueError(f"{source}: expected images under 'training', found none")
        try:
            splits |= split_for_validation(splits["training"], 0.2, seed)
        except ValueError as error:
            raise ValueError(f"{source}: {error} (images of one case stay together)") from error
    datalist = write_datalist(
        Path(out) / "datalist.json",
        name=content.get("name") or Path(images).name,
        task="objects",
        class_names=content.get("class_names") or [],
        splits=splits,
        warnings=content.get("warnings") or [],
    )
    written = read_datalist(datalist)
    return AdaptationData(
        datalist=datalist,
        class_names=["background", *object_names(datalist)],
        **{split: written[split] for split in SPLITS},
        notes=list(written.get("warnings") or []),
    )
