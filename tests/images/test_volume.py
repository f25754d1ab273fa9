"""Volumes against nibabel and SimpleITK."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from monai_lora_sam.images import Volume, read_label_volume, read_volume, write_label_volume

#: (column, row, slice), as nibabel has it.
STORED = np.random.default_rng(0).integers(-1000, 2000, (7, 5, 4)).astype(np.int16)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [20, -10, 35], degrees=True).as_matrix() * (0.8, 1.1, 2.5)
OBLIQUE[:3, 3] = (-30, 12, 7)


@pytest.fixture
def nifti(tmp_path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(STORED, OBLIQUE), tmp_path / "ct.nii.gz")
    return tmp_path / "ct.nii.gz"


def test_a_nifti_volume_has_rows_first_and_the_files_affine(nifti):
    volume = read_volume(nifti)
    assert volume.pixels.dtype == np.float32 and volume.pixels.shape == (5, 7, 4)
    np.testing.assert_array_equal(volume.pixels, STORED.transpose(1, 0, 2))
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-5)
    assert volume.affine.dtype == np.float64
    image = sitk.ReadImage(str(nifti))
    column, row, between = image.GetSpacing()
    np.testing.assert_allclose(volume.spacing_mm, (row, column, between), rtol=1e-5)
    # SimpleITK's arrays are (slice, row, column): an independent witness that axis 0 is rows.
    np.testing.assert_array_equal(volume.pixels.transpose(2, 0, 1), sitk.GetArrayFromImage(image))
    assert (volume.modality, volume.path) == ("", nifti)


def test_slope_and_intercept_are_applied(tmp_path):
    image = nibabel.Nifti1Image(STORED, np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "a.nii")
    expected = np.asarray(nibabel.load(tmp_path / "a.nii").dataobj).transpose(1, 0, 2)
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").pixels, expected, rtol=1e-6)


def test_one_frame_is_squeezed_and_several_are_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(STORED[..., None], np.eye(4)), tmp_path / "one.nii")
    assert read_volume(tmp_path / "one.nii").pixels.shape == (5, 7, 4)
    nibabel.save(nibabel.Nifti1Image(np.stack([STORED, STORED], -1), np.eye(4)), tmp_path / "two.nii")
    with pytest.raises(
        ValueError, match=r"two\.nii: expected a volume of three dimensions, .*\(7, 5, 4, 2\)"
    ):
        read_volume(tmp_path / "two.nii")
    nibabel.save(nibabel.Nifti1Image(STORED[..., 0], np.eye(4)), tmp_path / "flat.nii")
    with pytest.raises(ValueError, match=r"flat\.nii: expected a volume of three dimensions"):
        read_volume(tmp_path / "flat.nii")


def test_one_channel_of_several_is_read(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.stack([STORED, STORED + 1], -1), OBLIQUE), tmp_path / "two.nii.gz")
    volume = read_volume(tmp_path / "two.nii.gz", channel=1)
    np.testing.assert_array_equal(volume.pixels, STORED.transpose(1, 0, 2) + 1)
    nibabel.save(nibabel.Nifti1Image(STORED, OBLIQUE), tmp_path / "one.nii")
    for name, channel in (("two.nii.gz", 2), ("two.nii.gz", -1), ("one.nii", 0)):
        with pytest.raises(
            ValueError, match=f"{name}: expected four dimensions and in the last a channel {channel}"
        ):
            read_volume(tmp_path / name, channel)
    with pytest.raises(ValueError, match="expected a NIfTI file for channel 0, found a folder"):
        read_volume(tmp_path, 0)


def test_other_units_become_millimetres(tmp_path):
    image = nibabel.Nifti1Image(STORED, np.diag([200.0, 300, 400, 1]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").spacing_mm, (0.3, 0.2, 0.4))


def test_damaged_and_foreign_files_are_named(tmp_path, nifti):
    data = bytearray(nifti.read_bytes())
    (tmp_path / "cut.nii.gz").write_bytes(data[: len(data) // 2])
    data[-8:] = bytes(8)
    (tmp_path / "sum.nii.gz").write_bytes(data)
    for name in ("cut.nii.gz", "sum.nii.gz"):
        with pytest.raises(
            ValueError, match=rf"{name}: expected a readable NIfTI image, found a corrupt one"
        ):
            read_volume(tmp_path / name)
    (tmp_path / "cut.nii").write_bytes(gzip.decompress(nifti.read_bytes())[:400])
    with pytest.raises(ValueError, match=r"cut\.nii: expected a readable NIfTI image, found a corrupt one"):
        read_volume(tmp_path / "cut.nii")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(400))
    with pytest.raises(ValueError, match=r"a\.png: expected a NIfTI file or a folder .*, found PNG"):
        read_volume(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match="missing"):
        read_volume(tmp_path / "missing.nii")
    nibabel.save(nibabel.Nifti1Image(np.full((3, 3, 3), np.nan, np.float32), np.eye(4)), tmp_path / "nan.nii")
    with pytest.raises(ValueError, match=r"nan\.nii: expected finite voxels, found 27 NaN"):
        read_volume(tmp_path / "nan.nii")


def test_a_header_that_announces_too_much_is_refused(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((8000, 8000, 100))
    header["magic"], header["vox_offset"] = b"n+1", 352
    (tmp_path / "huge.nii").write_bytes(header.binaryblock.ljust(352, b"\0"))
    with pytest.raises(
        ValueError, match=r"huge\.nii: expected at most 536870912 voxels, found 8000x8000x100"
    ):
        read_volume(tmp_path / "huge.nii")


@pytest.mark.parametrize("name", ["mask.nii.gz", "mask.nii"])
def test_labels_lie_on_their_volume(nifti, tmp_path, name):
    labels = (STORED > 500).astype(np.uint8) * 3
    write_label_volume(tmp_path / name, labels.transpose(1, 0, 2), read_volume(nifti))
    written, source = nibabel.load(tmp_path / name), nibabel.load(nifti)
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), labels)
    np.testing.assert_allclose(written.affine, source.affine, atol=1e-6)
    by_itk, of_volume = (sitk.ReadImage(str(path)) for path in (tmp_path / name, nifti))
    np.testing.assert_allclose(by_itk.GetDirection(), of_volume.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(by_itk.GetOrigin(), of_volume.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(by_itk.GetSpacing(), of_volume.GetSpacing(), rtol=1e-6)
    np.testing.assert_array_equal(read_label_volume(tmp_path / name).pixels, labels.transpose(1, 0, 2))


def test_labels_keep_both_transforms_of_their_volume(tmp_path):
    image = nibabel.Nifti1Image(STORED, OBLIQUE)
    scanner = np.diag([2.0, 2, 3, 1])
    image.set_qform(scanner, 1)
    image.set_sform(OBLIQUE, 4)
    image.header.set_slope_inter(0.5, 10)
    image.header["cal_max"] = 900
    nibabel.save(image, tmp_path / "ct.nii")
    volume = read_volume(tmp_path / "ct.nii")
    write_label_volume(tmp_path / "mask.nii", volume.pixels > 0, volume)
    header = nibabel.load(tmp_path / "mask.nii").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 4)
    np.testing.assert_allclose(header.get_qform(), scanner, atol=1e-5)
    assert header["cal_max"] == 0
    np.testing.assert_array_equal(read_label_volume(tmp_path / "mask.nii").pixels, volume.pixels > 0)


def test_labels_on_a_volume_without_a_header(tmp_path):
    volume = Volume(np.zeros((5, 7, 4), np.float32), OBLIQUE, (1.0, 1.0, 1.0), "CT", tmp_path)
    labels = np.arange(140).reshape(5, 7, 4) * 10
    write_label_volume(tmp_path / "mask.nii.gz", labels, volume)
    written = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), labels.transpose(1, 0, 2))
    np.testing.assert_allclose(written.affine, OBLIQUE, atol=1e-5)
    assert (int(written.header["qform_code"]), int(written.header["sform_code"])) == (1, 1)


def test_wrong_labels_are_refused(nifti, tmp_path):
    volume = read_volume(nifti)
    with pytest.raises(ValueError, match=r"expected labels of shape \(5, 7, 4\), found \(7, 5, 4\)"):
        write_label_volume(tmp_path / "a.nii", np.zeros((7, 5, 4), np.uint8), volume)
    with pytest.raises(ValueError, match="expected bool or integers from 0 to 65535, found float32"):
        write_label_volume(tmp_path / "a.nii", volume.pixels, volume)
    with pytest.raises(ValueError, match=r"a\.png: expected a name that ends in"):
        write_label_volume(tmp_path / "a.png", volume.pixels > 0, volume)
    with pytest.raises(ValueError, match=r"ct\.nii\.gz: expected integer labels from 0 on"):
        read_label_volume(nifti)
    assert [path.name for path in tmp_path.iterdir()] == ["ct.nii.gz"]


def test_a_real_volume_and_its_labels(shared_data):
    folder = shared_data / "msd_hippocampus"
    volume = read_volume(folder / "imagesTr" / "hippocampus_001.nii.gz")
    labels = read_label_volume(folder / "labelsTr" / "hippocampus_001.nii.gz")
    assert volume.pixels.shape == labels.pixels.shape == (51, 35, 35)
    assert set(np.unique(labels.pixels)) == {0, 1, 2} and volume.spacing_mm == (1, 1, 1)
