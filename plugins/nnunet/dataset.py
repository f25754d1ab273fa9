"""Export datalists to nnU-Net v2 data sets, and read nnU-Net's predictions back onto their entries.

Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature
Methods 2021; 18: 203–211.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image

from monai_lora_sam.data import SPLITS, ErrorList, LabelledVolume
from monai_lora_sam.files import atomic_folder, content_sha256, read_json
from monai_lora_sam.images import read_image, read_label, read_label_volume, read_volume

#: Folder of nnU-Net in which each split's images lie.
FOLDERS = {"training": "imagesTr", "validation": "imagesTr", "test": "imagesTs"}
#: File of the export: origin of each case, and the hash of all.
RECORD = "export.json"
READERS = {".png": "NaturalImage2DIO", ".nii.gz": "SimpleITKIO"}
#: nnU-Net writes the number of a data set with three digits.
NUMBERS = range(1, 1000)


@dataclass(frozen=True)
class NnunetDataset:
    """Hold an exported data set.

    Attributes:
        folder: ``nnUNet_raw/DatasetXXX_NAME``.
        ending: of its files, ".png" or ".nii.gz".
        cases: split → identifiers of its cases, in the order of the datalist.
        class_names: background first.
        identity: SHA-256 of the files' content, the class names and the split.
    """

    folder: Path
    ending: str
    cases: Mapping[str, tuple[str, ...]]
    class_names: tuple[str, ...]
    identity: str

    @property
    def number(self) -> int:
        """The number by which nnU-Net's commands know the data set."""
        return int(self.folder.name[7:10])

    @property
    def splits(self) -> list[dict[str, list[str]]]:
        """The content of nnU-Net's ``splits_final.json``: one fold, training and validation as in the datalist."""
        return [{"train": list(self.cases["training"]), "val": list(self.cases["validation"])}]


def export_pictures(
    splits: Mapping[str, Sequence[Mapping[str, Any]]],
    class_names: Sequence[str],
    raw: str | Path,
    name: str,
    number: int = 1,
) -> NnunetDataset:
    """Write the entries of a datalist as an nnU-Net data set of 8-bit PNG with one channel.

    Colour becomes luminance, so that data sets that mix grey and colour files have one channel throughout. Masks of 0
    and 255 become 0 and 1. A finished export of the same files is kept.

    Args:
        splits: "training", "validation", "test" → entries with `image` and `label`; "test" needs no labels.
        class_names: background first; labels hold their indices.
        raw: nnU-Net's folder ``nnUNet_raw``.
        name: of the data set: letters, digits, hyphens and underscores.
        number: 1 to 999, the data set's number in nnU-Net.

    Raises:
        DatasetError: of all entries together: unreadable files, labels of another size or with unknown classes.
        ValueError: a name, number or class names that nnU-Net cannot take, an unknown split, no training entries, or a
            folder that holds another export.

    Example:
        >>> content = read_datalist("data/arcade_vessels/datalist.json")  # doctest: +SKIP
        >>> export_pictures(content, content["class_names"], "nnunet/nnUNet_raw", "arcade")  # doctest: +SKIP
    """
    entries = {split: list(splits.get(split) or []) for split in SPLITS}
    files = {split: [(e["image"], e.get("label")) for e in entries[split]] for split in SPLITS}

    def write(image: str, label: str | None, out_image: Path, out_label: Path | None) -> None:
        pixels = np.rint(read_image(image).pixels * 255).astype(np.uint8)
        Image.fromarray(pixels).save(out_image)
        if out_label is not None and label is not None:
            classes = read_label(label, len(class_names))
            if classes.shape != pixels.shape:
                raise ValueError(f"expected a label of {pixels.shape} as its image, found {classes.shape}")
            Image.fromarray(classes).save(out_label)

    return _export(files, class_names, Path(raw), name, number, ".png", "picture", write)


def export_volumes(
    splits: Mapping[str, Sequence[LabelledVolume]],
    class_names: Sequence[str],
    raw: str | Path,
    name: str,
    number: int = 1,
    modality: str = "",
    channel: int | None = None,
) -> NnunetDataset:
    """Write labelled volumes as an nnU-Net data set of NIfTI files, for its 2-D and 3-D configurations.

    Args:
        splits: "training", "validation", "test" → volumes.
        modality: DICOM's name; "CT" makes nnU-Net normalise Hounsfield units by the data set, any other each volume.
        channel: of volumes of four dimensions.
        class_names, raw, name, number: see :func:`export_pictures`.

    Raises:
        DatasetError, ValueError: see :func:`export_pictures`.
    """
    files = {split: [(str(v.image), str(v.label)) for v in splits.get(split) or []] for split in SPLITS}

    def write(image: str, label: str | None, out_image: Path, out_label: Path | None) -> None:
        volume = read_volume(image, channel)
        stored = np.swapaxes(volume.pixels, 0, 1)  # NIfTI has columns first
        nibabel.save(nibabel.Nifti1Image(stored, volume.affine), out_image)
        if out_label is None or label is None:
            return
        classes = read_label_volume(label).pixels
        if classes.shape != volume.pixels.shape:
            raise ValueError(
                f"expected a label of {volume.pixels.shape} as its volume, found {classes.shape}"
            )
        if classes.max() >= len(class_names):
            raise ValueError(f"{label}: expected labels 0..{len(class_names) - 1}, found {classes.max():g}")
        stored = np.swapaxes(classes.astype(np.uint8), 0, 1)
        nibabel.save(nibabel.Nifti1Image(stored, volume.affine), out_label)

    return _export(files, class_names, Path(raw), name, number, ".nii.gz", modality or "volume", write)


def predicted_pictures(
    dataset: NnunetDataset, split: str, entries: Sequence[Mapping[str, Any]], predictions: str | Path
) -> Iterator[np.ndarray]:
    """Yield nnU-Net's prediction for each entry of a split as (H, W) uint8 class indices, at the image's own size.

    Args:
        dataset: as exported.
        split: whose entries these are.
        entries: in the order in which they were exported.
        predictions: folder that nnU-Net wrote.

    Raises:
        FileNotFoundError: a case has no prediction.
        ValueError: other entries than those exported, or a prediction with unknown classes or of another size.
    """
    names = dataset.cases[split]
    if len(names) != len(entries):
        raise ValueError(f"{dataset.folder}: expected {len(names)} entries of {split}, found {len(entries)}")
    for case, entry in zip(names, entries, strict=True):
        found = read_label(Path(predictions) / f"{case}{dataset.ending}", max(len(dataset.class_names), 3))
        shape = read_image(entry["image"]).pixels.shape
        if found.shape != shape:
            raise ValueError(
                f"{Path(predictions) / case}: expected {shape} as its image, found {found.shape}"
            )
        yield found


def predicted_slices(
    dataset: NnunetDataset,
    split: str,
    volumes: Sequence[LabelledVolume],
    entries: Sequence[Mapping[str, Any]],
    predictions: str | Path,
) -> Iterator[np.ndarray]:
    """Yield the prediction for each slice entry, cut from nnU-Net's predicted volumes.

    Args:
        dataset, split, predictions: see :func:`predicted_pictures`.
        volumes: of the split, in the order in which they were exported.
        entries: slices of these volumes, with `case_id`, `axis` and `slice` as `prepare decathlon` writes them.

    Raises:
        FileNotFoundError: a volume has no prediction.
        ValueError: an entry of another volume.
    """
    case_of = {v.case_id: case for v, case in zip(volumes, dataset.cases[split], strict=True)}
    known: tuple[str, np.ndarray | None] = ("", None)
    for entry in entries:
        if entry.get("case_id") not in case_of:
            raise ValueError(
                f"{entry['image']}: expected a slice of an exported volume, found {entry.get('case_id')!r}"
            )
        case = case_of[entry["case_id"]]
        if known[0] != case:
            known = case, read_label_volume(Path(predictions) / f"{case}{dataset.ending}").pixels
        assert known[1] is not None
        yield np.take(known[1], entry["slice"], axis=entry["axis"]).astype(np.uint8)


def _export(
    files: Mapping[str, Sequence[tuple[str, str | None]]],
    class_names: Sequence[str],
    raw: Path,
    name: str,
    number: int,
    ending: str,
    channel_name: str,
    write: Any,
) -> NnunetDataset:
    _check(files, class_names, name, number)
    folder = raw / f"Dataset{number:03d}_{name}"
    cases = {split: tuple(f"{split}_{index:05d}" for index in range(len(files[split]))) for split in SPLITS}
    origin = {
        case: {"image": image, "label": label}
        for split in SPLITS
        for case, (image, label) in zip(cases[split], files[split], strict=True)
    }
    content = {
        "class_names": list(class_names),
        "ending": ending,
        "channel": channel_name,
        "splits": {split: list(cases[split]) for split in SPLITS},
        "files": {case: [_sha256(one["image"]), _sha256(one["label"])] for case, one in origin.items()},
    }
    identity = content_sha256(content)
    dataset = NnunetDataset(folder, ending, cases, tuple(class_names), identity)
    if (folder / RECORD).is_file():
        found = read_json(folder / RECORD).get("identity")
        if found != identity:
            raise ValueError(
                f"{folder}: expected an export of the same files, found another (give another folder)"
            )
        return dataset
    errors = ErrorList()
    with atomic_folder(folder) as temporary:
        for part in ("imagesTr", "labelsTr", "imagesTs"):
            (temporary / part).mkdir()
        for split in SPLITS:
            for case, (image, label) in zip(cases[split], files[split], strict=True):
                out_label = None if split == "test" else temporary / "labelsTr" / f"{case}{ending}"
                try:
                    write(image, label, temporary / FOLDERS[split] / f"{case}_0000{ending}", out_label)
                except (ValueError, OSError) as error:
                    errors.add(image, str(error))
        errors.raise_if_any()
        description = {
            "name": name,
            "channel_names": {"0": channel_name},
            "labels": {label: value for value, label in enumerate(class_names)},
            "numTraining": len(cases["training"]) + len(cases["validation"]),
            "file_ending": ending,
            "overwrite_image_reader_writer": READERS[ending],
        }
        (temporary / "dataset.json").write_text(json.dumps(description, indent=1))
        (temporary / RECORD).write_text(json.dumps({"identity": identity, "cases": origin}, indent=1))
    return dataset


def _check(
    files: Mapping[str, Sequence[tuple[str, str | None]]], class_names: Sequence[str], name: str, number: int
) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"name: expected letters, digits, hyphens and underscores, found {name!r}")
    if number not in NUMBERS:
        raise ValueError(f"number: expected 1 to 999, found {number}")
    twice = len(set(class_names)) < len(class_names)
    if len(class_names) < 2 or class_names[0] != "background" or twice or "ignore" in class_names:
        raise ValueError(
            "class names: expected 'background' and then different names, none of them 'ignore', "
            f"found {list(class_names)}"
        )
    if not files["training"]:
        raise ValueError("expected training entries, found none")
    for split in ("training", "validation"):
        if without := [image for image, label in files[split] if label is None]:
            raise ValueError(f"{without[0]}: expected a label, found none ({len(without)} such of {split})")


def _sha256(path: str | None) -> str | None:
    """Return the hash of a file, or of the names of the files of a folder; None where there is none."""
    if path is None or not Path(path).exists():
        return None
    if Path(path).is_dir():
        return hashlib.sha256("\n".join(sorted(p.name for p in Path(path).iterdir())).encode()).hexdigest()
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
