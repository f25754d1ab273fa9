"""Write the slices of labelled volumes as pictures with labels, and list them."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_lora_sam.data.dataset_errors import ErrorList
from monai_lora_sam.data.duplicates import pixel_hash
from monai_lora_sam.files import atomic_folder, check_output_folder, read_json
from monai_lora_sam.images import Volume, parse_window, read_label_volume, read_volume, to_unit_by_preset

#: Pixels of the smallest object that makes a slice count and that is scored: COSMOS-1050K drops those of 50 and fewer.
SMALLEST_OBJECT = 51
#: Folder, below the output folder, with a folder for each volume.
SLICES = "slices"
#: Hounsfield units below which there is air alone. MR and ultrasound have no such values.
_AIR = -500.0
#: Distance, in voxels, of a label's corners from its volume's beyond which it lies elsewhere; rounding is far below.
_FARTHEST_CORNER = 0.1
#: Share by which distances of rows and of columns may differ in square pixels.
_SQUARE = 0.01
#: Changed when slices are written in another way, so that older ones are written again.
_VERSION = 1

Progress = Callable[[int, int], Any]


@dataclass(frozen=True)
class SliceSettings:
    """Hold the choices by which volumes become slices.

    Attributes:
        window: a preset such as "ct_abdomen", or level and width as "40,400"; None: ct_abdomen for CT, else percentiles
            over the whole volume.
        axis: across which volumes are cut: 0 rows, 1 columns, 2 slices, as `read_volume` has them; None: the axis of
            largest distance, the last of equal ones.
        per_volume: most slices of a volume, evenly spaced over those with objects; None for all of those.
        smallest: fewest pixels of an object that makes a slice count.
        channel: of volumes of four dimensions; None for volumes of three.

    Raises:
        ValueError: a value outside its range, or an unknown window.
    """

    window: str | None = None
    axis: int | None = None
    per_volume: int | None = None
    smallest: int = SMALLEST_OBJECT
    channel: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None:
            parse_window(self.window)
        if self.axis not in (None, 0, 1, 2):
            raise ValueError(f"axis: expected 0, 1 or 2, found {self.axis}")
        for name, value, least in (
            ("per_volume", self.per_volume, 1),
            ("smallest", self.smallest, 1),
            ("channel", self.channel, 0),
        ):
            if value is not None and value < least:
                raise ValueError(f"{name}: expected {least} or more, found {value}")


@dataclass(frozen=True)
class LabelledVolume:
    """Hold the paths of a volume and of its label, and the name of its case, which names its folder of slices."""

    image: Path
    label: Path
    case_id: str


def write_volume_slices(
    volumes: Sequence[LabelledVolume],
    out: str | Path,
    class_names: Sequence[str],
    settings: SliceSettings | None = None,
    modality: str | None = None,
    warnings: list[str] | None = None,
    progress: Progress = lambda done, count: None,
) -> list[dict[str, Any]]:
    """Write slices as 8-bit PNG with labels of class indices, below ``out/slices/<case>``, and return their entries.

    Intensities are scaled as LiteMedSAM's authors do: a window for CT, else percentiles over the whole volume, then 8
    bits. Slices without an object of `smallest` pixels are left out. A volume's folder is renamed into place when
    whole, and kept by later runs with the same files and settings, so a killed run goes on. With two classes labels of
    0 and 255 are read as 0 and 1.

    Args:
        volumes: with case ids of their own.
        out: folder in which `slices` is made.
        class_names: background first; labels hold their indices.
        settings: see :class:`SliceSettings`.
        modality: DICOM's name ("CT", "MR"); None: that of a DICOM series, else unknown.
        warnings: collects slices and volumes left out, and volumes that look like CT and got no window.
        progress: called with the number of volumes done and of all.

    Returns:
        entries with `image`, `label`, `case_id`, `pixel_hash`, `view`, `pixel_spacing_mm` (null where pixels are not
        square), `modality`, `volume` (path), `axis`, `slice` (index along the axis) and `objects` (`name`,
        `grey_level`, `area_px`).

    Raises:
        DatasetError: of all volumes together: unreadable files, NaN, labels that are no integers, unknown or
            background alone, or of another shape or place than their volume. Finished volumes stay written.
        ValueError: two volumes of one case id, one that is no name of a folder, or other than 2 to 256 classes.

    Example:
        >>> pairs = [LabelledVolume(Path("a.nii.gz"), Path("a_label.nii.gz"), "a")]
        >>> write_volume_slices(pairs, "data/liver", ["background", "liver"])  # doctest: +SKIP
    """
    settings, out = settings or SliceSettings(), Path(out)
    if not 2 <= len(class_names) <= 256:
        raise ValueError(f"class_names: expected 2 to 256, background first, found {len(class_names)}")
    names = [volume.case_id for volume in volumes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected a case_id of its own for each volume, found {twice[0]!r} twice")
    if wrong := [name for name in names if not name or Path(name).name != name or name.startswith(".")]:
        raise ValueError(f"expected case ids that can name a folder, found {wrong[0]!r}")
    check_output_folder(out)
    errors, notes = ErrorList(), _Notes()
    entries: list[dict[str, Any]] = []
    for number, volume in enumerate(volumes, 1):
        folder = out / SLICES / volume.case_id
        record = _record(volume, folder, len(class_names), settings, modality, errors)
        if record is not None:
            notes.add(volume, record)
            entries += _entries(volume, folder, record, class_names)
        progress(number, len(volumes))
    errors.raise_if_any()
    if warnings is not None:
        warnings += notes.texts(settings.smallest)
    return entries


def _record(
    volume: LabelledVolume,
    folder: Path,
    classes: int,
    settings: SliceSettings,
    modality: str | None,
    errors: ErrorList,
) -> dict[str, Any] | None:
    """Return the record of a volume's slices, from its folder or after writing it; None and a note of an error."""
    try:
        identity = {
            "version": _VERSION,
            "image": _file_hash(volume.image),
            "label": _file_hash(volume.label),
            "settings": asdict(settings),
            "modality": modality,
            "classes": classes,
        }
    except OSError as error:
        errors.add(error.filename or volume.image, f"expected a file, found {error.strerror}")
        return None
    record = _finished(folder, identity)
    if record is None:
        found = _read(volume, classes, settings, errors)
        if found is None:
            return None
        modality = modality or found[0].modality or None
        with atomic_folder(folder) as temporary:
            record = _write(*found, temporary, classes, settings, modality)
            text = json.dumps({"identity": identity, **record}, indent=1)
            (temporary / "slices.json").write_text(text + "\n", encoding="utf-8")
    return record


def _file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the files of a folder."""
    total = hashlib.sha256()
    for file in sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]:
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def _finished(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of a folder whose slices are those of the same files and settings, and whole."""
    try:
        record = read_json(folder / "slices.json")
        whole = all(_file_hash(folder / name) == known for name, known in record["files"].items())
        return record if whole and record["identity"] == identity else None
    except (
        ValueError,
        OSError,
        KeyError,
        AttributeError,
        TypeError,
    ):  # none, or one that something has damaged
        return None


def _read(
    volume: LabelledVolume, classes: int, settings: SliceSettings, errors: ErrorList
) -> tuple[Volume, np.ndarray] | None:
    """Return a volume and its labels (H, W, D); None and a note of every error."""
    image = label = None
    try:
        image = read_volume(volume.image, settings.channel)
    except (ValueError, OSError) as error:
        errors.add(volume.image, str(error))
    try:
        label = read_label_volume(volume.label)
    except (ValueError, OSError) as error:
        errors.add(volume.label, str(error))
    if label is None:
        return None
    values, problem = label.pixels, None
    if classes == 2 and values.max() == 255 and not ((values > 0) & (values < 255)).any():
        values = values // 255
    if (unknown := np.unique(values[values >= classes])).size:
        more = " and more" if unknown.size > 10 else ""
        problem = f"expected labels 0..{classes - 1}, found {unknown[:10].tolist()}{more}"
    elif not values.any():
        problem = "expected labelled objects, found only background"
    if problem:
        errors.add(volume.label, problem)
    if image is None:
        return None
    if values.shape != image.pixels.shape:
        errors.add(
            volume.label,
            f"expected {image.pixels.shape} (rows, columns, slices) as in {volume.image}, found {values.shape}",
        )
        return None
    if (away := _corner_distance(image, label)) > _FARTHEST_CORNER:
        errors.add(
            volume.label,
            f"expected the place of {volume.image} (affine), found a corner {away:.3g} voxels away from its place",
        )
        return None
    return None if problem else (image, values)


def _corner_distance(volume: Volume, label: Volume) -> float:
    """Return the largest distance of a corner in the two, in the smallest side of a voxel."""
    rows, columns, slices = volume.pixels.shape
    corners = [(*corner, 1) for corner in itertools.product((0, columns - 1), (0, rows - 1), (0, slices - 1))]
    apart = (np.array(corners) @ (volume.affine - label.affine).T)[:, :3]
    side = np.linalg.norm(volume.affine[:3, :3], axis=0).min()
    return float(np.linalg.norm(apart, axis=1).max() / side)


def _write(
    volume: Volume,
    labels: np.ndarray,
    folder: Path,
    classes: int,
    settings: SliceSettings,
    modality: str | None,
) -> dict[str, Any]:
    """Write the slices of a volume into a folder and return their record."""
    axis = volume.slice_axis if settings.axis is None else settings.axis
    window = settings.window or ("ct_abdomen" if modality == "CT" else "percentiles")
    pixels = np.moveaxis(np.rint(to_unit_by_preset(volume.pixels, window) * 255).astype(np.uint8), axis, 0)
    labels = np.moveaxis(labels, axis, 0).astype(np.uint8)
    areas = np.stack([np.bincount(label.ravel(), minlength=classes)[1:] for label in labels])
    there = np.flatnonzero((areas >= settings.smallest).any(1))
    record: dict[str, Any] = {
        "axis": axis,
        "modality": modality,
        "pixel_spacing_mm": _square_side([side for k, side in enumerate(volume.spacing_mm) if k != axis]),
        "window": window,
        "too_small": int(areas.any(1).sum()) - there.size,
        "looks_like_ct": settings.window is None and modality is None and bool(volume.pixels.min() < _AIR),
        "slices": [],
        "files": {},
    }
    for index in _evenly(there, settings.per_volume):
        written = {"image": f"image_{index:04d}.png", "label": f"label_{index:04d}.png"}
        for array, name in ((pixels[index], written["image"]), (labels[index], written["label"])):
            Image.fromarray(np.ascontiguousarray(array)).save(folder / name)
            record["files"][name] = _file_hash(folder / name)
        record["slices"].append(
            {
                "slice": int(index),
                **written,
                "pixel_hash": pixel_hash(pixels[index] / 255),
                "areas": {
                    int(level): int(areas[index, level - 1]) for level in np.flatnonzero(areas[index]) + 1
                },
            }
        )
    return record


def _square_side(sides: Sequence[float]) -> float | None:
    """Return the side of square pixels; None for oblong ones."""
    return round(sides[0], 6) if abs(sides[0] - sides[1]) <= _SQUARE * max(sides) else None


def _evenly(indices: np.ndarray, count: int | None) -> np.ndarray:
    """Return the middles of so many equal parts of the indices."""
    if count is None or count >= indices.size:
        return indices
    return indices[((np.arange(count) + 0.5) * indices.size / count).astype(int)]


def _entries(
    volume: LabelledVolume, folder: Path, record: dict[str, Any], class_names: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        {
            "image": str(folder / piece["image"]),
            "label": str(folder / piece["label"]),
            "case_id": volume.case_id,
            "pixel_hash": piece["pixel_hash"],
            "view": None,
            "pixel_spacing_mm": record["pixel_spacing_mm"],
            "modality": record["modality"],
            "volume": str(volume.image.absolute()),
            "axis": record["axis"],
            "slice": piece["slice"],
            "objects": [
                {"name": class_names[int(level)], "grey_level": int(level), "area_px": area}
                for level, area in piece["areas"].items()
            ],
        }
        for piece in record["slices"]
    ]


class _Notes:
    """Count what was left out, and volumes that may lack a window."""

    def __init__(self) -> None:
        self.too_small = 0
        self.without: list[str] = []
        self.like_ct: list[str] = []

    def add(self, volume: LabelledVolume, record: dict[str, Any]) -> None:
        self.too_small += record["too_small"]
        if not record["slices"]:
            self.without.append(volume.case_id)
        if record["looks_like_ct"]:
            self.like_ct.append(volume.image.name)

    def texts(self, smallest: int) -> list[str]:
        texts = []
        if self.too_small:
            texts.append(
                f"{self.too_small} slices left out, whose objects all have fewer than {smallest} pixels"
            )
        if self.without:
            texts.append(
                f"{len(self.without)} volumes left out without an object of {smallest} pixels in any slice: "
                f"{', '.join(self.without[:5])}{' …' if len(self.without) > 5 else ''}"
            )
        if self.like_ct:
            texts.append(
                f"{len(self.like_ct)} volumes look like CT and were scaled by percentiles, since no window was given "
                f"(ct_abdomen, ct_lung …): {', '.join(self.like_ct[:5])}{' …' if len(self.like_ct) > 5 else ''}"
            )
        return texts
