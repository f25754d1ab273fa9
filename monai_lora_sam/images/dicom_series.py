"""Read a folder that holds one DICOM series as a volume."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom

from monai_lora_sam.images.dicom_files import (
    DICOM_DIRECTORY,
    looks_like_dicom,
    naming_file,
    read_dataset,
    read_header,
)
from monai_lora_sam.images.dicom_pixels import number_of_frames, stored_pixels
from monai_lora_sam.images.dicom_tags import OptionalTags, named
from monai_lora_sam.images.size_limits import check_volume_size

#: Largest departure of a slice from its place in an even stack, as a part of the distance of slices. A missing slice
#: departs by a half or more; rounded positions by far less.
_UNEVEN = 0.05
#: Largest difference of direction cosines within a series: 0.06 degrees.
_TURNED = 1e-3
#: DICOM's axes point left and back, those of NIfTI right and to the front.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Series(NamedTuple):
    """Hold a DICOM series: pixels (H, W, D) float32, affine 4x4 as NIfTI has it, modality."""

    pixels: np.ndarray
    affine: np.ndarray
    modality: str


class _Place(NamedTuple):
    """Hold where a slice lies, in mm, x to the left, y to the back, z upwards."""

    path: Path
    position: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing: tuple[float, float]
    shape: tuple[int, int]


def read_series(folder: Path) -> Series:
    """Read the one DICOM series of a folder, its slices sorted along their normal.

    Files that are no DICOM, and a DICOMDIR, are left out. The modality's rescaling is applied, so that CT is in
    Hounsfield units.

    Raises:
        ValueError: no series or several, slices of different size, direction or spacing, without position, twice at
            one place or at unequal distances, colour, or several frames in a file. The message names folder or file.
    """
    files = _files_of_one_series(folder)
    places = [_place(path, header) for path, header in files]
    places, step = _sorted(folder, places)
    rows, columns = places[0].shape
    check_volume_size(rows, columns, len(places))
    pixels = np.empty((rows, columns, len(places)), np.float32)
    for index, place in enumerate(places):
        pixels[..., index] = _rescaled_pixels(place.path, place.shape)
    affine = np.eye(4)
    affine[:3, 0] = places[0].row * places[0].spacing[1]
    affine[:3, 1] = places[0].column * places[0].spacing[0]
    affine[:3, 2], affine[:3, 3] = step, places[0].position
    modality = OptionalTags(files[0][1], []).text("Modality")
    return Series(pixels, _LPS_TO_RAS @ affine, modality)


def _files_of_one_series(folder: Path) -> list[tuple[Path, pydicom.Dataset]]:
    series = defaultdict(list)
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if not looks_like_dicom(path):
            continue
        header = read_header(path)
        if str(header.file_meta.get("MediaStorageSOPClassUID", "")) == DICOM_DIRECTORY:
            continue
        series[OptionalTags(header, []).text("SeriesInstanceUID")].append((path, header))
    if not series:
        raise ValueError(f"{folder}: expected a DICOM series, found no DICOM file in the folder")
    if len(series) > 1:
        found = "; ".join(
            f"{uid or 'without a UID'} ({len(files)} files, first {files[0][0].name})"
            for uid, files in series.items()
        )
        raise ValueError(
            f"{folder}: expected one DICOM series, found {len(series)}: {found}; give each its own folder"
        )
    return next(iter(series.values()))


def _place(path: Path, header: pydicom.Dataset) -> _Place:
    tags = OptionalTags(header, [])

    def numbers(keyword: str, count: int) -> np.ndarray:
        found = tags.numbers(keyword, (count,))
        if found is None:
            raise ValueError(f"{path}: expected {count} numbers in DICOM {named(keyword)}, found none")
        return np.array(found)

    directions = numbers("ImageOrientationPatient", 6).reshape(2, 3)
    if abs(directions @ directions.T - np.eye(2)).max() > _TURNED:
        raise ValueError(
            f"{path}: expected two perpendicular unit vectors in DICOM ImageOrientationPatient, found "
            f"{directions.ravel().tolist()}"
        )
    spacing = numbers("PixelSpacing", 2)
    if spacing.min() <= 0:
        raise ValueError(f"{path}: expected a PixelSpacing above 0 mm, found {spacing.tolist()}")
    shape = (int(numbers("Rows", 1)[0]), int(numbers("Columns", 1)[0]))
    between_rows, between_columns = spacing.tolist()
    row, column = directions
    position = numbers("ImagePositionPatient", 3)
    return _Place(path, position, row, column, (between_rows, between_columns), shape)


def _sorted(folder: Path, places: list[_Place]) -> tuple[list[_Place], np.ndarray]:
    """Sort slices along their normal; return them and the vector in mm from one to the next."""
    first = places[0]
    for other in places[1:]:
        turned = max(abs(other.row - first.row).max(), abs(other.column - first.column).max())
        if (
            other.shape != first.shape
            or turned > _TURNED
            or not np.allclose(other.spacing, first.spacing, 1e-3)
        ):
            raise ValueError(
                f"{other.path}: expected size, direction and spacing of {first.path.name}: {first.shape[0]}x"
                f"{first.shape[1]} (rows x columns) at {first.spacing} mm; found {other.shape[0]}x{other.shape[1]} at "
                f"{other.spacing} mm{', turned' if turned > _TURNED else ''}"
            )
    if len(places) < 2:
        raise ValueError(f"{folder}: expected a series of at least two slices, found one")
    normal = np.cross(first.row, first.column)
    places = sorted(places, key=lambda place: float(place.position @ normal))
    positions = np.array([place.position for place in places])
    heights = positions @ normal
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    if gaps.min() <= max(1e-3, _UNEVEN * usual):
        index = int(gaps.argmin())
        raise ValueError(
            f"{folder}: expected one slice at each place, found {places[index].path.name} and "
            f"{places[index + 1].path.name} {gaps[index]:.3g} mm apart"
        )
    # A tilted gantry shifts every slice by as much: the step need not lie along the normal.
    step = (positions[-1] - positions[0]) / (len(places) - 1)
    departure = np.linalg.norm(positions - positions[0] - np.arange(len(places))[:, None] * step, axis=1)
    if departure.max() > _UNEVEN * np.linalg.norm(step):
        index = int(abs(gaps - usual).argmax())
        raise ValueError(
            f"{folder}: expected slices {usual:.4g} mm apart, found {gaps[index]:.4g} mm between "
            f"{places[index].path.name} and {places[index + 1].path.name}; a slice may be missing"
        )
    return places, step


def _rescaled_pixels(path: Path, shape: tuple[int, int]) -> np.ndarray:
    dataset = read_dataset(path)
    with naming_file(path):
        if number_of_frames(dataset) != 1:
            raise ValueError(f"expected one frame in each file, found {number_of_frames(dataset)} frames")
        stored = stored_pixels(dataset, path).array[0]
        if stored.shape != shape:
            raise ValueError(f"expected grey pixels of shape {shape}, found {stored.shape}")
        tags = OptionalTags(dataset, [])
        slope, intercept = tags.number("RescaleSlope"), tags.number("RescaleIntercept")
        if slope == 0:
            raise ValueError("expected a RescaleSlope other than 0, found 0")
        return stored.astype(np.float32) * np.float32(1 if slope is None else slope) + np.float32(
            intercept or 0
        )
