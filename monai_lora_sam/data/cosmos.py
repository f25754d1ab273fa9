"""Turn COSMOS-1050K into a datalist of images with named objects.

Huang et al., "Segment anything model for medical images?", Medical Image Analysis 2024; 92: 103061.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from monai_lora_sam.data.datalist import SPLITS, write_datalist
from monai_lora_sam.data.dataset_errors import ErrorList
from monai_lora_sam.data.duplicates import ImageSignature, duplicate_groups, image_signature
from monai_lora_sam.data.folders import files_by_stem
from monai_lora_sam.data.splits import group_cases
from monai_lora_sam.files import read_json
from monai_lora_sam.images import read_image, read_label

#: Folder of a split in the published layout → split. The description says `val_data`, the code of the paper `valid`.
SPLIT_FOLDERS = MappingProxyType(
    {"train_data": "training", "valid": "validation", "val_data": "validation", "test_data": "test"}
)
#: Modality (DICOM's names) of data sets whose names do not tell it.
MODALITIES = MappingProxyType({"6_Pancreas": "CT", "22_Heart": "MR"})
#: Pattern in a data set's name → modality.
MODALITY_WORDS = MappingProxyType(
    {
        r"ultrasound|(^|_)us(_|$)": "US",
        r"(^|_)ct(_|$)": "CT",
        r"mri|(^|_)mr(_|$)": "MR",
        r"x-?ray": "DX",
        r"fundus": "OP",
        r"(^|_)oct(_|$)": "OPT",
        r"endoscop|colonoscop|polyp": "ES",
    }
)
#: Thumbnails are compared pair by pair, so a larger data set is searched for equal pixels alone.
MOST_COMPARED = 10_000

Progress = Callable[[int, int], Any]


@dataclass(frozen=True)
class _Classes:
    """Hold the objects of one data set: name by grey level, and the modality where its JSON says it."""

    names: dict[int, str]
    modality: str | None


def prepare_cosmos(
    root: str | Path,
    out: str | Path,
    modalities: Mapping[str, str] | None = None,
    progress: Progress = lambda done, count: None,
) -> Path:
    """Write a datalist of all data sets below a folder in COSMOS-1050K's layout.

    All pixels of one grey level in a label are one object. The published splits are kept. An image whose case, or a
    duplicate of which, is also in validation or test is left out of training, and out of validation if in test.
    Images without an object are left out. Every omission is counted under `warnings`.

    Args:
        root: folder with `data_infor_json` and at least one of `train_data`, `valid`, `val_data`, `test_data`.
        out: folder in which `datalist.json` is written.
        modalities: modality by data set, where its JSON and its name do not tell, or in their place.
        progress: called with the number of images read and of all images.

    Returns:
        The datalist. Its entries have `dataset`, `modality` and `objects`: a list of `name`, `grey_level`, `area_px`.

    Raises:
        DatasetError: missing, unreadable or unequally sized files, or a label with a grey level that the data set's
            JSON does not know, all together.
        ValueError: no such layout, or a modality for a data set that is not there.

    Example:
        >>> prepare_cosmos("COSMOS", "data/cosmos")  # doctest: +SKIP
        PosixPath('data/cosmos/datalist.json')
    """
    root, out = Path(root), Path(out)
    errors = ErrorList()
    warnings: list[str] = []
    found = _image_folders(root)
    names = sorted({folder.name for _, folder in found})
    if unknown := set(modalities or {}) - set(names):
        raise ValueError(
            f"{root}: expected modalities of {', '.join(names)}, found one of {sorted(unknown)[0]!r}"
        )
    classes = {name: _read_classes(root / "data_infor_json" / f"{name}.json", errors) for name in names}
    pairs = [
        (split, folder.name, image, label)
        for split, folder in found
        for image, label in _pairs(folder, errors)
    ]
    by_dataset: dict[str, list[tuple[str, dict[str, Any], ImageSignature]]] = defaultdict(list)
    empty: dict[tuple[str, str], int] = defaultdict(int)
    for number, (split, name, image, label) in enumerate(pairs, 1):
        read = _read_pair(image, label, classes[name].names, errors)
        if read is not None:
            objects, signature = read
            entry = {
                "image": str(image),
                "label": str(label),
                "pixel_hash": signature.pixel_hash,
                "view": None,
                "pixel_spacing_mm": None,
                "modality": (modalities or {}).get(name) or classes[name].modality or _modality(name),
                "dataset": name,
                "objects": objects,
            }
            if objects:
                by_dataset[name].append((split, entry, signature))
            else:
                empty[name, split] += 1
        progress(number, len(pairs))
    errors.raise_if_any()
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for name, read_entries in by_dataset.items():
        _name_cases(name, [entry for _, entry, _ in read_entries], [sign for _, _, sign in read_entries])
        _share_out(name, read_entries, splits, warnings)
        if read_entries[0][1]["modality"] is None:
            warnings.append(f"{name}: expected a modality in its JSON or its name, found none")
    for (name, split), count in sorted(empty.items()):
        warnings.append(f"{name}: {split}: {count} images without an object left out")
    return write_datalist(
        out / "datalist.json",
        name="cosmos",
        task="objects",
        class_names=["background", *dict.fromkeys(n for name in names for n in classes[name].names.values())],
        splits=splits,
        warnings=warnings,
    )


def _image_folders(root: Path) -> list[tuple[str, Path]]:
    """Return the split and the folder of each data set."""
    found = [
        (split, folder)
        for name, split in SPLIT_FOLDERS.items()
        for folder in sorted((root / name).glob("*"))
        if folder.is_dir() and not folder.name.startswith(".")
    ]
    if not found:
        raise ValueError(
            f"{root}: expected data sets in one of {', '.join(SPLIT_FOLDERS)}, "
            f"found {'none' if root.is_dir() else 'no such folder'}"
        )
    return found


def _read_classes(path: Path, errors: ErrorList) -> _Classes:
    """Read the names and grey levels of a data set's objects."""
    try:
        content = read_json(path)
        names, greys = content.get("info"), content.get("color")
        if not isinstance(names, dict) or not isinstance(greys, dict) or set(names) != set(greys):
            raise ValueError(
                f"expected objects 'info' and 'color' with the same keys, found {content!r:.200}"
            )
        levels = {key: _grey_level(value) for key, value in greys.items()}
        if len(set(levels.values())) != len(levels):
            raise ValueError(f"color: expected a grey level for each object, found {greys!r:.200}")
        modality = content.get("modality")
        if not all(isinstance(text, str) for text in (*names.values(), modality or "")):
            raise ValueError(f"expected names and a modality as texts, found {content!r:.200}")
        return _Classes({levels[key]: name for key, name in names.items()}, modality or None)
    except (ValueError, OSError) as error:
        errors.add(path, str(error))
        return _Classes({}, None)


def _grey_level(value: Any) -> int:
    """Return a grey level that is written as a number or as equal channels."""
    channels = set(value) if isinstance(value, list) else {value}
    level = next(iter(channels), None)
    if len(channels) != 1 or not isinstance(level, int) or not 1 <= level <= 255:
        raise ValueError(f"color: expected a grey level from 1 to 255, found {value!r}")
    return level


def _pairs(folder: Path, errors: ErrorList) -> list[tuple[Path, Path]]:
    """Pair the images of a data set with the labels of the same name."""
    images, labels = (files_by_stem(folder / name, errors) for name in ("images", "labels"))
    for stem in sorted(set(images) ^ set(labels)):
        has, lacks = ("image", "label") if stem in images else ("label", "image")
        errors.add(images.get(stem) or labels[stem], f"expected a {lacks} for this {has}, found none")
    return [(images[stem], labels[stem]) for stem in sorted(set(images) & set(labels))]


def _read_pair(
    image: Path, label: Path, names: Mapping[int, str], errors: ErrorList
) -> tuple[list[dict[str, Any]], ImageSignature] | None:
    """Return the objects of an image and its signature; None and a note where a file is wrong."""
    try:
        pixels = read_image(image).pixels
    except (ValueError, OSError) as error:
        errors.add(image, str(error))
        return None
    try:
        levels = read_label(label, 256)
    except (ValueError, OSError) as error:
        errors.add(label, str(error))
        return None
    if levels.shape != pixels.shape:
        errors.add(label, f"expected {pixels.shape} (rows, columns) as in {image}, found {levels.shape}")
        return None
    areas = np.bincount(levels.ravel(), minlength=256)
    unknown = [level for level in np.flatnonzero(areas).tolist() if level and level not in names]
    if unknown:
        errors.add(label, f"expected the grey levels 0, {str(sorted(names))[1:-1]}, found {unknown[:10]}")
        return None
    objects = [
        {"name": name, "grey_level": level, "area_px": int(areas[level])}
        for level, name in names.items()
        if areas[level]
    ]
    return objects, image_signature(pixels)


def _modality(name: str) -> str | None:
    """Return the modality that a data set's name tells."""
    told = (modality for word, modality in MODALITY_WORDS.items() if re.search(word, name.lower()))
    return MODALITIES.get(name) or next(told, None)


def _name_cases(name: str, entries: list[dict[str, Any]], signatures: list[ImageSignature]) -> None:
    """Give each entry a `case_id`: from the file's name where it tells a case, else one for each group of duplicates.

    Names are ``<data set>_<case>_<slice>``, with or without ``_<axis>``. Cases that share a duplicate are one.
    """
    pattern = re.compile(rf"{re.escape(name)}_(\d+)_\d+(_\d+)?")
    told = [pattern.fullmatch(Path(entry["image"]).name.split(".")[0]) for entry in entries]
    small = len(entries) <= MOST_COMPARED
    groups = duplicate_groups(signatures) if small else [sign.pixel_hash for sign in signatures]
    marks = [
        {"case_id": f"{name}-{match[1]}" if match else None, "pixel_hash": group}
        for match, group in zip(told, groups, strict=True)
    ]
    for members in group_cases(marks):
        cases = sorted({case for member in members if (case := marks[member]["case_id"]) is not None})
        for member in members:
            entries[member]["case_id"] = cases[0] if cases else f"image-{groups[member][:12]}"


def _share_out(
    name: str,
    entries: list[tuple[str, dict[str, Any], ImageSignature]],
    splits: dict[str, list[dict[str, Any]]],
    warnings: list[str],
) -> None:
    """Put entries into their splits, and leave out those whose case is in a later split as well."""
    later: set[str] = set()
    for split in reversed(SPLITS):
        inside = [entry for of, entry, _ in entries if of == split]
        kept = [entry for entry in inside if entry["case_id"] not in later]
        splits[split].extend(kept)
        later |= {entry["case_id"] for entry in inside}
        if len(kept) < len(inside):
            warnings.append(
                f"{name}: {split}: {len(inside) - len(kept)} images left out, since their case or a duplicate is in "
                "a split that scores"
            )
