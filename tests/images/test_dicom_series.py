"""DICOM series against SimpleITK's reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from monai_lora_sam.images import read_volume

ANGLE = np.deg2rad(12)
ROW = np.array([np.cos(ANGLE), np.sin(ANGLE), 0])
COLUMN = np.array([-np.sin(ANGLE) * 0.8, np.cos(ANGLE) * 0.8, 0.6])
STEP = 2.5 * np.cross(ROW, COLUMN)
ORIGIN = np.array([-100.0, 40, 7])
STORED = np.random.default_rng(0).integers(0, 4000, (6, 5, 8)).astype(np.uint16)  # (slice, row, column)


def save(file: Dataset, path: Path) -> None:
    """Write a file with preamble and file meta information, by pydicom 3 or by 2."""
    if pydicom.__version_info__[0] >= "3":
        file.save_as(path, enforce_file_format=True)
    else:
        file.is_little_endian, file.is_implicit_VR = True, False
        file.save_as(path, write_like_original=False)


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a CT series in random order; `changes` of a slice replace its elements."""
    uid = generate_uid()

    def write(slices=range(6), name: str = "ct", changes: dict[int, dict] | None = None, step=STEP) -> Path:
        folder = tmp_path / "series"
        folder.mkdir(exist_ok=True)
        for index in slices:
            file = Dataset()
            file.file_meta = FileMetaDataset()
            file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = CTImageStorage
            file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
            file.SeriesInstanceUID, file.StudyInstanceUID, file.Modality = uid, "1.2.3", "CT"
            file.Rows, file.Columns = STORED.shape[1:]
            file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = (
                1,
                "MONOCHROME2",
                0,
            )
            file.BitsAllocated = file.BitsStored = 16
            file.HighBit = 15
            file.PixelSpacing = [0.7, 0.9]
            file.ImageOrientationPatient = [f"{value:.9f}" for value in (*ROW, *COLUMN)]
            file.ImagePositionPatient = [f"{value:.9f}" for value in ORIGIN + index * step]
            file.RescaleSlope, file.RescaleIntercept = 1, -1024
            file.PixelData = STORED[index].tobytes()
            for keyword, value in (changes or {}).get(index, {}).items():
                setattr(file, keyword, value)
            # The names are in another order than the slices.
            save(file, folder / f"{name}_{(index * 5) % 7}.dcm")
        return folder

    return write


def test_pixels_and_places_are_those_of_simpleitk(series):
    folder = series()
    (folder / "notes.txt").write_text("no DICOM")
    volume = read_volume(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    np.testing.assert_array_equal(volume.pixels, sitk.GetArrayFromImage(image).transpose(1, 2, 0))
    np.testing.assert_array_equal(volume.pixels, STORED.transpose(1, 2, 0).astype(np.float32) - 1024)
    for place in [(0, 0, 0), (3, 2, 5), (7, 4, 1)]:  # column, row, slice
        x, y, z = image.TransformIndexToPhysicalPoint(place)
        np.testing.assert_allclose(volume.affine @ [*place, 1], [-x, -y, z, 1], atol=1e-4)
    np.testing.assert_allclose(volume.spacing_mm, (0.7, 0.9, 2.5), atol=1e-5)
    assert volume.modality == "CT" and volume.path == folder


def test_a_tilted_gantry_is_kept_in_the_affine(series):
    step = STEP + np.array([0, 0.4, 0])
    affine = read_volume(series(step=step)).affine
    np.testing.assert_allclose(affine[:3, 2], step * (-1, -1, 1), atol=1e-6)


def test_a_missing_slice_is_refused(series):
    with pytest.raises(
        ValueError, match=r"series: expected slices 2\.5 mm apart, found 5 mm between .*missing"
    ):
        read_volume(series(slices=[0, 1, 2, 4, 5]))


def test_two_slices_at_one_place_are_refused(series):
    place = {"ImagePositionPatient": [f"{value:.9f}" for value in ORIGIN + 2 * STEP]}
    with pytest.raises(ValueError, match=r"expected one slice at each place, found .* 0 mm apart"):
        read_volume(series(changes={3: place}))


def test_several_series_are_named(series):
    series()
    folder = series(name="scout", slices=[0, 1], changes={i: {"SeriesInstanceUID": "1.9.9"} for i in (0, 1)})
    with pytest.raises(
        ValueError, match=r"expected one DICOM series, found 2: .*1\.9\.9 \(2 files, first scout_0"
    ):
        read_volume(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PixelSpacing": [0.7, 0.8]}, "expected size, direction and spacing of"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, "turned"),
        ({"ImagePositionPatient": None}, r"expected 3 numbers in DICOM ImagePositionPatient \(0020,0032\)"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "expected two perpendicular unit vectors"),
        ({"PixelSpacing": [0, 0.9]}, "expected a PixelSpacing above 0 mm"),
        ({"RescaleSlope": 0}, "expected a RescaleSlope other than 0"),
        ({"PixelData": bytes(20)}, r"ct_1\.dcm: expected"),
    ],
)
def test_a_faulty_slice_is_named(series, changes, message):
    folder = series(changes={3: changes})
    with pytest.raises(ValueError, match=rf"ct_\d\.dcm: .*{message}|{message}"):
        read_volume(folder)


def test_a_folder_without_a_series_is_refused(series, tmp_path):
    with pytest.raises(ValueError, match="expected a series of at least two slices, found one"):
        read_volume(series(slices=[2]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: expected a DICOM series, found no DICOM file"):
        read_volume(tmp_path / "empty")
