"""Headers, references and files that the DICOM writers share."""

from __future__ import annotations

import pydicom
import pytest

from monai_lora_sam import __version__
from monai_lora_sam.coronary.dicom.writing import (
    COPIED,
    finish,
    frame_count,
    hide_time,
    name_of,
    new_series,
    refer_to_frame,
    require,
    save,
    single_frame_header,
)

pytest.importorskip("highdicom")


def test_a_header_is_that_of_one_frame_without_the_patient(xa_source):
    source = xa_source(5)
    header = single_frame_header(source, 3)
    assert header.NumberOfFrames == 1 and "PixelData" not in header and frame_count(source) == 5
    assert not any(header.get(keyword) for keyword in COPIED)
    assert header.SOPInstanceUID == source.SOPInstanceUID and source.PatientID == "PID-0815"
    with pytest.raises(ValueError, match="expected a frame from 0 to 4, found 5"):
        single_frame_header(source, 5)
    with pytest.raises(ValueError, match="found none of StudyInstanceUID"):
        single_frame_header(xa_source(1, StudyInstanceUID=None), 0)


def test_patient_and_study_are_copied(xa_source):
    result = pydicom.Dataset()
    finish(result, xa_source(1))
    assert str(result.PatientName) == "Müller^Jörg" and result.SpecificCharacterSet == "ISO_IR 192"
    assert result.StudyDate == "20240317"


def test_times_of_anonymous_images_are_hidden(xa_source):
    dataset = xa_source(1)
    hide_time(dataset)
    assert dataset.StudyDate == "19000101" and dataset.StudyTime == "000000"


def test_frames_are_counted_from_one_and_single_ones_need_no_number(xa_source):
    many, single = pydicom.Dataset(), pydicom.Dataset()
    refer_to_frame(many, xa_source(5), 3)
    refer_to_frame(single, xa_source(1), 0)
    assert many.ReferencedFrameNumber == 4 and "ReferencedFrameNumber" not in single


def test_each_series_has_identifiers_of_its_own():
    first, second = new_series(901), new_series(902)
    assert (first["series_number"], first["software_versions"]) == (901, __version__)
    for key in ("series_instance_uid", "sop_instance_uid"):
        assert first[key] != second[key] and pydicom.uid.UID(first[key]).is_valid


def test_files_are_written_whole(tmp_path, xa_source):
    source = xa_source(1)
    save(source, tmp_path / "new" / "a.dcm")
    read = pydicom.dcmread(tmp_path / "new" / "a.dcm")
    assert read.PixelData == source.PixelData and name_of(read).endswith("a.dcm")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.dcm"]


def test_a_missing_package_is_named():
    with pytest.raises(ImportError, match=r'need the package no_such_package.*pip install "highdicom'):
        require("no_such_package.sr")
