"""Phantoms as DICOM XA: read back by SimpleITK, pydicom and the package; attributes against PS3.3 A.14."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from monai_lora_sam.coronary.images import read_angiogram, read_cine
from monai_lora_sam.coronary.phantom import PhantomConfig, generate_cine, prepare_cines, write_phantom_dicom

SMALL = PhantomConfig(image_size=65, background=False)  # odd, so that the pixel data need padding

# PS3.3 A.14: type 1 of the mandatory modules of an XA image, those of a cine, and type 2, which may be empty.
TYPE_1 = (
    *("StudyInstanceUID", "Modality", "SeriesInstanceUID", "ImageType", "PixelIntensityRelationship"),
    *(
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
    ),
    *("PixelRepresentation", "PixelData", "RadiationSetting", "SOPClassUID", "SOPInstanceUID"),
)
TYPE_1_CINE = ("NumberOfFrames", "FrameIncrementPointer", "FrameTime")
TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("ReferringPhysicianName", "AccessionNumber", "SeriesNumber", "Manufacturer", "InstanceNumber"),
    *(
        "PatientOrientation",
        "ContentDate",
        "ContentTime",
        "ContrastBolusAgent",
        "KVP",
        "Exposure",
        "PositionerMotion",
    ),
    *("PositionerPrimaryAngle", "PositionerSecondaryAngle"),
)


@pytest.fixture(scope="module")
def cine():
    return generate_cine(4, SMALL, frames=3, frames_per_second=12.5)


@pytest.fixture(scope="module")
def files(cine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom")
    return (
        write_phantom_dicom(folder / "cine.dcm", cine),
        write_phantom_dicom(folder / "frame.dcm", cine.frames[1].phantom),
    )


def test_simpleitk_and_this_package_read_the_same_pixels(cine, files):
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(files[0]))), cine.images)
    np.testing.assert_array_equal(pydicom.dcmread(files[0]).pixel_array, cine.images)
    np.testing.assert_allclose(np.asarray(read_cine(files[0]).frames), cine.images / 255, atol=1e-7)
    np.testing.assert_allclose(read_angiogram(files[1]).pixels, cine.images[1] / 255, atol=1e-7)


def test_geometry_and_time_survive(cine, files):
    read = read_cine(files[0])
    assert read.views == ((cine.arm.primary_deg, cine.arm.secondary_deg),) * 3
    assert read.spacings[2].mm == pytest.approx(cine.arm.pixel_spacing_mm, rel=1e-9)
    assert read.spacings[2].source == "distances"
    assert read.frames_per_second == pytest.approx(12.5)
    assert read.frame_times_ms == pytest.approx([1000 * frame.time_s for frame in cine.frames])
    single = read_angiogram(files[1])
    assert single.view == read.views[0] and single.pixel_spacing_mm == read.spacings[0].mm


def test_all_attributes_of_type_1_and_2_are_there(files):
    for path, more in zip(files, (TYPE_1_CINE, ()), strict=True):
        dataset = pydicom.dcmread(path)
        for keyword in TYPE_1 + more:
            assert dataset.get(keyword) not in (None, ""), keyword
        for keyword in TYPE_2:
            assert keyword in dataset, keyword
        assert dataset.FrameIncrementPointer == 0x00181063 if more else "FrameTime" not in dataset
        assert "Synthetic" in str(dataset.PatientName)


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(files):
    for path in files:
        found = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
        assert "Error" not in found.stdout + found.stderr
        assert "XAImage" in found.stdout + found.stderr


def test_equal_phantoms_are_equal_files(cine, files, tmp_path):
    assert write_phantom_dicom(tmp_path / "again.dcm", cine).read_bytes() == files[0].read_bytes()
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in files]
    assert uids[0] != uids[1]
    assert [path.name for path in tmp_path.iterdir()] == ["again.dcm"]


def test_prepared_cines_have_their_truth_and_are_not_drawn_again(tmp_path):
    config = PhantomConfig(image_size=64, lesion_probability=1.0, background=False)
    done = []
    paths = prepare_cines(tmp_path, 2, seed=1, frames=3, progress=lambda *x: done.append(x), config=config)
    assert [path.name for path in paths] == ["cine_001000003.dcm", "cine_001000004.dcm"]
    assert done == [(1, 2), (2, 2)]
    truth = json.loads(paths[0].with_suffix(".json").read_text())
    cine = generate_cine(1_000_003, config, frames=3)
    np.testing.assert_array_equal(pydicom.dcmread(paths[0]).pixel_array, cine.images)
    assert [frame["filling"] for frame in truth["frames"]] == pytest.approx(
        [f.filling for f in cine.frames], abs=1e-5
    )
    row, column = cine.frames[2].phantom.lesions[0].centre_rc_px
    assert truth["frames"][2]["lesions"][0]["centre_xy_px"] == pytest.approx([column, row])
    before = [path.stat().st_mtime_ns for path in paths]
    prepare_cines(tmp_path, 2, seed=1, frames=3, config=config)
    assert [path.stat().st_mtime_ns for path in paths] == before
    with pytest.raises(
        ValueError, match=r"cine_001000003\.json: expected a cine of .*choose an empty folder"
    ):
        prepare_cines(tmp_path, 1, seed=1, frames=4, config=config)
    with pytest.raises(ValueError, match="expected a count of at least 1, found 0"):
        prepare_cines(tmp_path, 0)
