"""Images and masks in two folders, matched by file name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_lora_sam.data.copies import copy_groups, image_signature
from monai_lora_sam.data.problems import ProblemList
from monai_lora_sam.images import is_image_name, read_image, read_label


def _by_stem(folder: Path, problems: ProblemList) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") or not path.is_file() or not is_image_name(path):
            continue
        stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
        if stem in files:
            problems.add(path, f"expected one file for each name, found {files[stem].name} as well")
        files[stem] = path
    if not files:
        problems.add(folder, f"expected images, found {'none' if folder.is_dir() else 'no such folder'}")
    return files


def datalist_from_folders(images: str | Path, masks: str | Path, classes: int = 2) -> list[dict[str, Any]]:
    """Pair each image with the mask of the same name (whatever the extension) and check every pair.

    Copies of one image share a `case_id`, which is made of the image's pixels.

    Args:
        images: folder of images.
        masks: folder of masks: class indices, or 0/255 where `classes` is 2.
        classes: how many classes there are, background included.

    Returns:
        entries with `image`, `label`, `case_id`, `pixel_hash`, `view`, `pixel_spacing_mm`, `modality`,
        sorted by name; write them with `write_datalist`, after `split_by_case` where there is no split.

    Raises:
        DatasetProblems: missing, unreadable, empty or differently sized files, all together.

    Example:
        >>> entries = datalist_from_folders("cimat_angio/train/images", "cimat_angio/train/masks")
        >>> len(entries)
        40
    """
    problems = ProblemList()
    image_files, mask_files = _by_stem(Path(images), problems), _by_stem(Path(masks), problems)
    for stem in sorted(set(mask_files) - set(image_files)):
        problems.add(mask_files[stem], f"expected an image of the same name in {images}, found none")
    entries: list[dict[str, Any]] = []
    signatures = []
    for stem, path in sorted(image_files.items()):
        if stem not in mask_files:
            problems.add(path, f"expected a mask of the same name in {masks}, found none")
            continue
        try:
            picture = read_image(path)
        except (ValueError, OSError) as error:
            problems.add(path, str(error))
            continue
        try:
            mask = read_label(mask_files[stem], classes)
        except (ValueError, OSError) as error:
            problems.add(mask_files[stem], str(error))
            continue
        if mask.shape != picture.pixels.shape:
            problems.add(
                mask_files[stem],
                f"expected {picture.pixels.shape} (rows, columns) as in {path}, found {mask.shape}",
            )
            continue
        if not mask.any():
            problems.add(mask_files[stem], "expected a mask, found only background")
            continue
        signatures.append(image_signature(picture.pixels))
        entries.append(
            {
                "image": str(path),
                "label": str(mask_files[stem]),
                "pixel_hash": signatures[-1].pixel_hash,
                "view": None,
                "pixel_spacing_mm": None,
                "modality": picture.modality,
            }
        )
    problems.raise_if_any()
    for entry, group in zip(entries, copy_groups(signatures), strict=True):
        entry["case_id"] = f"image-{group[:12]}"
    return entries
