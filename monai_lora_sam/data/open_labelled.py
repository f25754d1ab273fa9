"""Open labelled data of any known form as a datalist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_lora_sam.data.cosmos import SPLIT_FOLDERS, prepare_cosmos
from monai_lora_sam.data.datalist import SPLITS, read_datalist, write_datalist
from monai_lora_sam.data.decathlon import prepare_decathlon
from monai_lora_sam.data.prepare_folders import prepare_folders
from monai_lora_sam.data.splits import split_for_validation
from monai_lora_sam.data.volume_slices import Progress, SliceSettings

FORMS = (
    "a datalist.json or its folder",
    "a folder of the Medical Segmentation Decathlon (dataset.json, imagesTr, labelsTr)",
    "a folder in the layout of COSMOS-1050K (data_infor_json, test_data)",
    "two folders, images and masks of the same names",
)


def prepare_labelled(
    source: str | Path,
    masks: str | Path | None = None,
    *,
    out: str | Path,
    class_names: Sequence[str] | None = None,
    settings: SliceSettings | None = None,
    modality: str | None = None,
    validation_fraction: float = 0.2,
    seed: int = 0,
    progress: Progress = lambda done, count: None,
) -> Path:
    """Return the datalist of labelled data, prepared where it is not a datalist yet.

    Published splits stay, except for those of COSMOS-1050K without training images: all images are split anew then.

    Args:
        source: a datalist or its folder, a Decathlon or COSMOS folder, or a folder of images.
        masks: folder of masks, where the source is a folder of images.
        out: folder for the datalist and for slices; not written for a source that is a datalist.
        class_names: of two folders, background first; default: background and foreground.
        settings: of volumes, see :class:`SliceSettings`; None for pictures.
        modality: of two folders: DICOM's name ("CT", "MR").
        validation_fraction, seed: of the split by case, where the source has none.
        progress: called with the number of images or volumes done and of all.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: no such form, options that the form does not take, or an error of the data, see
            :func:`read_datalist`, :func:`prepare_decathlon`, :func:`prepare_cosmos`, :func:`prepare_folders`.

    Example:
        >>> prepare_labelled("Task04_Hippocampus", out="data/hippocampus")  # doctest: +SKIP
        PosixPath('data/hippocampus/datalist.json')
        >>> prepare_labelled("fundus/images", "fundus/masks", out="data/fundus")  # doctest: +SKIP
        PosixPath('data/fundus/datalist.json')
    """
    source, out = Path(source), Path(out)
    split = {"validation_fraction": validation_fraction, "seed": seed}
    if masks is not None:
        for folder in (source, Path(masks)):
            if not folder.is_dir():
                found = "a file" if folder.exists() else "nothing"
                raise NotADirectoryError(f"{folder}: expected a folder of images or of masks, found {found}")
        names = class_names or ("background", "foreground")
        return prepare_folders(
            source, masks, out, names, "objects", settings, modality, validation_fraction, seed, progress
        )
    form = _form(source)
    _check_options(source, form, settings, class_names=class_names, modality=modality)
    if form == FORMS[0]:
        datalist = source / "datalist.json" if source.is_dir() else source
        read_datalist(datalist)
        return datalist
    if form == FORMS[1]:
        return prepare_decathlon(source, out, settings, progress=progress, **split)  # type: ignore[arg-type]
    return _with_training(prepare_cosmos(source, out, progress=progress), validation_fraction, seed)


def _form(source: Path) -> str:
    """Return which of `FORMS` a file or folder has."""
    if not source.exists():
        raise FileNotFoundError(f"{source}: expected labelled data, found nothing")
    if source.is_file():
        if source.suffix.lower() == ".json" and source.name != "dataset.json":
            return FORMS[0]
    elif (source / "datalist.json").is_file():
        return FORMS[0]
    elif (source / "dataset.json").is_file():
        return FORMS[1]
    elif (source / "data_infor_json").is_dir() or any((source / name).is_dir() for name in SPLIT_FOLDERS):
        return FORMS[2]
    forms = "".join(f"\n  - {form}" for form in FORMS)
    found = "a file" if source.is_file() else "a folder without any of their files"
    raise ValueError(f"{source}: expected labelled data in one of four forms, found {found}:{forms}")


def _check_options(source: Path, form: str, settings: SliceSettings | None, **named: object) -> None:
    """Refuse options that a form does not take."""
    wrong = [name for name, value in named.items() if value is not None]
    if form != FORMS[1] and settings not in (None, SliceSettings()):
        wrong.append("window, axis, channel or number of slices")
    if wrong:
        raise ValueError(f"{source}: expected no {' and '.join(wrong)} for {form}, found one")


def _with_training(datalist: Path, fraction: float, seed: int) -> Path:
    """Split the images of a datalist anew by case where none is for training."""
    content = read_datalist(datalist)
    if content["training"]:
        return datalist
    entries = [entry for name in SPLITS for entry in content[name]]
    note = f"no training images published: all {len(entries)} split by case, seed {seed}"
    return write_datalist(
        datalist,
        name=content["name"],
        task=content["task"],
        class_names=content["class_names"],
        splits=split_for_validation(entries, fraction, seed),
        warnings=[*content.get("warnings", []), note],
    )
