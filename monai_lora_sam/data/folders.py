"""Make datalist entries of a folder of images, and of one of masks matched by file name."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from monai_lora_sam.data.dataset_errors import ErrorList
from monai_lora_sam.data.duplicates import duplicate_groups, image_signature
from monai_lora_sam.images import is_image_name, read_image, read_label


def files_by_stem(folder: Path, errors: ErrorList) -> dict[str, Path]:
    """Return the pictures of a folder by their names without extension, and note an empty folder or two of a name."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") or not path.is_file() or not is_image_name(path):
            continue
        stem = normalize("NFC", path.name.removesuffix(".gz").rsplit(".", 1)[0])
        if stem in files:
            errors.add(path, f"expected one file for each name, found {files[stem].name} as well")
        files[stem] = path
    if not files:
        errors.add(folder, f"expected images, found {'none' if folder.is_dir() else 'no such folder'}")
    return files


def _looks_inverted(mask: np.ndarray) -> bool:
    """Say whether a mask covers most of its image and nearly all of the border."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool((mask > 0).mean() > 0.5 and (border > 0).mean() > 0.9)


def _checked_mask(path: Path, classes: int, image: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a mask; raise a ``ValueError`` where it is empty or has another size than its image."""
    mask = read_label(path, classes)
    if mask.shape != shape:
        raise ValueError(f"expected {shape} (rows, columns) as in {image}, found {mask.shape}")
    if not mask.any():
        raise ValueError("expected a mask, found only background")
    return mask


def datalist_from_folders(
    images: str | Path, masks: str | Path | None = None, classes: int = 2, warnings: list[str] | None = None
) -> list[dict[str, Any]]:
    """Pair each image with the mask of the same name in any format, and check every pair, or every image alone.

    Duplicates of one image share a `case_id`, a hash of the image's pixels.

    Args:
        images: folder of images.
        masks: folder of masks: class indices, or 0/255 where `classes` is 2; None for images without.
        classes: number of classes, background included.
        warnings: collects masks that look inverted.

    Returns:
        entries with `image`, `label` (None without masks), `case_id`, `pixel_hash`, `view`, `pixel_spacing_mm`,
        `modality`, sorted by name; write them with `write_datalist`, after `split_by_case` where there is no split.

    Raises:
        DatasetError: missing, unreadable, empty or differently sized files, all together.

    Example:
        >>> entries = datalist_from_folders("liver/images", "liver/masks")  # doctest: +SKIP
        >>> len(entries)  # doctest: +SKIP
        40
    """
    errors = ErrorList()
    image_files = files_by_stem(Path(images), errors)
    mask_files = {} if masks is None else files_by_stem(Path(masks), errors)
    for stem in sorted(set(mask_files) - set(image_files)):
        errors.add(mask_files[stem], f"expected an image of the same name in {images}, found none")
    entries: list[dict[str, Any]] = []
    signatures = []
    for stem, path in sorted(image_files.items()):
        if masks is not None and stem not in mask_files:
            errors.add(path, f"expected a mask of the same name in {masks}, found none")
            continue
        try:
            picture = read_image(path)
        except (ValueError, OSError) as error:
            errors.add(path, str(error))
            continue
        label = mask_files.get(stem)
        if label is not None:
            try:
                mask = _checked_mask(label, classes, path, picture.pixels.shape)
            except (ValueError, OSError) as error:
                errors.add(label, str(error))
                continue
            if warnings is not None and _looks_inverted(mask):
                warnings.append(
                    f"{label}: expected the structure above 0 on a background of 0, "
                    f"found {(mask > 0).mean():.0%} of the image above 0: it looks inverted"
                )
        signatures.append(image_signature(picture.pixels))
        entries.append(
            {
                "image": str(path),
                "label": None if label is None else str(label),
                "pixel_hash": signatures[-1].pixel_hash,
                "view": None,
                "pixel_spacing_mm": None,
                "modality": picture.modality,
            }
        )
    errors.raise_if_any()
    for entry, group in zip(entries, duplicate_groups(signatures), strict=True):
        entry["case_id"] = f"image-{group[:12]}"
    return entries
