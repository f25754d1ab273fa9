"""Read volumes from NIfTI files and DICOM series; write labels that lie on them."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.spatialimages import SpatialImage

from monai_lora_sam.files import atomic_write
from monai_lora_sam.images.dicom_series import read_series
from monai_lora_sam.images.image_files import check_gzip, detect_format, naming_image, nifti_name
from monai_lora_sam.images.size_limits import check_volume_size

#: Unit of length of a NIfTI header → mm. A file without a unit is taken in mm, as all viewers take it.
_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


@dataclass(frozen=True)
class Volume:
    """Hold a volume of slices.

    Attributes:
        pixels: (H, W, D) float32 as stored, with the file's slope and intercept; DICOM's CT is in Hounsfield units.
        affine: 4x4 float64, maps (column, row, slice, 1) to the scanner's coordinates, right, anterior, superior
            positive, as NIfTI has it.
        spacing_mm: distances of rows, of columns and of slices.
        modality: DICOM's ("CT", ...), or "" where the file does not say.
        path: the file or folder.
        header: the NIfTI header, which labels on this volume share; None for DICOM.
    """

    pixels: np.ndarray
    affine: np.ndarray
    spacing_mm: tuple[float, float, float]
    modality: str
    path: Path
    header: nibabel.Nifti1Header | None = field(default=None, repr=False, compare=False)

    @property
    def slice_axis(self) -> int:
        """The axis of largest distance, the last of equal ones: across it lie the images of best resolution."""
        return max(range(3), key=lambda side: (round(self.spacing_mm[side], 3), side))


def read_volume(path: str | Path, channel: int | None = None) -> Volume:
    """Read a volume from a NIfTI file or from a folder that holds one DICOM series.

    The second axis of NIfTI counts as rows, as in :func:`read_image`; its third axis counts as slices. Four dimensions
    with one frame are read as three. Slices of DICOM are sorted along their normal.

    Args:
        path: a .nii or .nii.gz file, or a folder.
        channel: of a NIfTI file of four dimensions, such as one sequence out of several in MR; counted from 0.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: another format, cut off, corrupt, too large, several frames, values that are not finite, or several
            series, unequal distances or missing slices in a folder. The message names the file.

    Example:
        >>> read_volume("ct.nii.gz").pixels.shape  # doctest: +SKIP
        (512, 512, 120)
    """
    path = Path(path)
    if path.is_dir():
        if channel is not None:
            raise ValueError(f"{path}: expected a NIfTI file for channel {channel}, found a folder")
        series = read_series(path)
        volume = Volume(series.pixels, series.affine, _spacing(series.affine), series.modality, path)
    else:
        found = detect_format(path)
        if found != "NIfTI":
            raise ValueError(f"{path}: expected a NIfTI file or a folder with a DICOM series, found {found}")
        volume = _read_nifti_volume(path, channel)
    if not np.isfinite(volume.pixels).all():
        count = int((~np.isfinite(volume.pixels)).sum())
        raise ValueError(f"{path}: expected finite voxels, found {count} NaN or infinite ones")
    return volume


def is_volume(path: str | Path) -> bool:
    """Say whether a path is a folder, or a NIfTI file of more than one slice, by its header alone.

    Raises:
        FileNotFoundError, ValueError: see :func:`read_volume`.
    """
    path = Path(path)
    if path.is_dir():
        return True
    if detect_format(path) != "NIfTI":
        return False
    with naming_image(path, "NIfTI"), nifti_name(path) as named:
        return math.prod(cast(SpatialImage, nibabel.load(named)).shape[2:]) > 1


def read_label_volume(path: str | Path) -> Volume:
    """Read a NIfTI file of integer labels as (H, W, D) int32.

    Raises:
        FileNotFoundError, ValueError: see :func:`read_volume`; also for values that are no integers from 0 on.
    """
    volume = read_volume(path)
    labels = volume.pixels.astype(np.int32)
    if (labels != volume.pixels).any() or labels.min() < 0:
        raise ValueError(f"{path}: expected integer labels from 0 on, found other values")
    return Volume(labels, volume.affine, volume.spacing_mm, volume.modality, volume.path, volume.header)


def write_label_volume(path: str | Path, labels: np.ndarray, volume: Volume) -> None:
    """Write labels as a NIfTI file that lies on a volume in any viewer.

    The file has the volume's affine and, where that is NIfTI, both of its transforms with their codes, since viewers
    differ in which of them they follow.

    Args:
        path: a .nii or .nii.gz file, written whole or not at all.
        labels: (H, W, D) bool or integers from 0 to 65535, in the order of the volume's pixels.
        volume: the volume that the labels belong to.

    Raises:
        ValueError: another extension, shape or type.

    Example:
        >>> write_label_volume("liver.nii.gz", mask, read_volume("ct.nii.gz"))  # doctest: +SKIP
    """
    path, labels = Path(path), np.asarray(labels)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path}: expected a name that ends in .nii or .nii.gz")
    if labels.shape != volume.pixels.shape:
        raise ValueError(f"{path}: expected labels of shape {volume.pixels.shape}, found {labels.shape}")
    if labels.dtype.kind not in "bui" or int(labels.min()) < 0 or int(labels.max()) > 65535:
        raise ValueError(f"{path}: expected bool or integers from 0 to 65535, found {labels.dtype}")
    # int32 above 255: viewers know it better than unsigned 16 bits.
    stored = labels.astype(np.uint8 if int(labels.max()) < 256 else np.int32).transpose(1, 0, 2)
    header = None if volume.header is None else volume.header.copy()
    image = nibabel.Nifti1Image(stored, volume.affine, header, dtype=stored.dtype)
    image.header.set_data_dtype(stored.dtype)
    image.header["cal_min"] = image.header["cal_max"] = (
        0  # of the volume: viewers would window the labels by it
    )
    if header is None:
        image.set_qform(volume.affine, 1)
        image.set_sform(volume.affine, 1)
        image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    packed = path.name.lower().endswith(".gz")
    atomic_write(path, gzip.compress(content, mtime=0) if packed else content)


def _read_nifti_volume(path: Path, channel: int | None) -> Volume:
    with naming_image(path, "NIfTI"), nifti_name(path) as named:
        image = cast(SpatialImage, nibabel.load(named))
        shape = image.shape
        if channel is not None and (len(shape) != 4 or not 0 <= channel < shape[3]):
            raise ValueError(
                f"expected four dimensions and in the last a channel {channel}, found the shape {shape}"
            )
        if len(shape) < 3 or (channel is None and np.prod(shape[3:], dtype=object) != 1):
            raise ValueError(
                f"expected a volume of three dimensions, or one channel of four, found the shape {shape}"
            )
        check_volume_size(shape[1], shape[0], shape[2])
        check_gzip(path, 352 + int(np.prod(shape)) * image.get_data_dtype().itemsize)
        stored = np.asanyarray(image.dataobj if channel is None else image.dataobj[..., channel])
        if not np.issubdtype(stored.dtype, np.number) or np.iscomplexobj(stored):
            raise ValueError(f"expected grey voxels, found {stored.dtype}")
        pixels = stored.reshape(shape[:3]).transpose(1, 0, 2).astype(np.float32, order="C")
        header = nibabel.Nifti1Header.from_header(image.header)
        affine = np.asarray(image.affine, np.float64)
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) == 0:
            raise ValueError("expected a transform to the scanner's coordinates, found a singular one")
        scale = _MILLIMETRES[header.get_xyzt_units()[0]]
        return Volume(pixels, affine, _spacing(affine, scale), "", path, header)


def _spacing(affine: np.ndarray, scale: float = 1.0) -> tuple[float, float, float]:
    column, row, between = (float(size) * scale for size in voxel_sizes(affine))
    return row, column, between
