from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom.datadict import dictionary_VR, keyword_for_tag

from monai_lora_sam.coronary.dicom.anonymise import anonymise, anonymous_name
from monai_lora_sam.coronary.dicom.segmentation import write_segmentation
from monai_lora_sam.coronary.dicom.structured_report import write_structured_report

pytest.importorskip("highdicom")

# PS3.15 table E.1-1 as another project keeps it.
TABLE = dicom_anonymization_database_selector("dicomfields_2026c")["ALL_TAGS"]
TAGS = [
    (tag[0] << 16) | tag[1] for tag in TABLE if len(tag) == 2 and keyword_for_tag((tag[0] << 16) | tag[1])
]
SECRETS = {
    **dict.fromkeys(("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "CS", "UR"), "SECRET"),
    **{"DA": "19771231", "DT": "19771231235958", "TM": "235958", "AS": "077Y", "UI": "1.2.77777.1"},
    **{"OB": b"SECRET", "OW": b"SECRET", "UN": b"SECRET", "OB or OW": b"SECRET"},
}
MARKS = (b"SECRET", b"19771231", b"235958", b"077Y", b"1.2.77777", b"Geheim", b"A-4711", b"PID-0815")


def everything_secret(tags=TAGS) -> pydicom.Dataset:
    """Return a data set with a secret in each attribute of the table that has a text, a date or a UID."""
    result = pydicom.Dataset()
    for tag in tags:
        if tag >> 16 > 2 and dictionary_VR(tag) in SECRETS:
            result.add_new(tag, dictionary_VR(tag), SECRETS[dictionary_VR(tag)])
    return result


@pytest.fixture
def secret_source(xa_source):
    source = xa_source(PatientName="Geheim^Gerd", PatientID="PID-0815", AccessionNumber="A-4711")
    for element in everything_secret():
        if element.keyword not in source:
            source.add(element)
    source.ReferencedImageSequence = [everything_secret()]
    source.ViewCodeSequence = [everything_secret()]
    block = source.private_block(0x0021, "SECRET MAKER", create=True)
    block.add_new(1, "LO", "SECRET")
    source.add_new(0x60003000, "OW", b"SECRET")
    source.file_meta.SourceApplicationEntityTitle = "SECRET"
    source.preamble = b"SECRET".ljust(128, b"\0")
    return source


def written(dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_the_secrets_are_seen_at_all(secret_source):
    assert all(mark in written(secret_source) for mark in MARKS)
    assert len(everything_secret()) > 400


def test_nothing_of_annex_e_s_table_is_left(secret_source):
    result = anonymise(secret_source)
    content = written(result)
    assert [mark for mark in MARKS if mark in content] == []
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert secret_source[keyword].value.encode() not in content
    assert result.file_meta.MediaStorageSOPInstanceUID == result.SOPInstanceUID
    assert (result.PatientIdentityRemoved, result.PatientSex or "", result.StudyDate or "") == ("YES", "", "")


def test_segmentation_and_report_leak_nothing_either(tmp_path, secret_source):
    source, mask = anonymise(secret_source), np.zeros((48, 40), bool)
    mask[5:9] = True
    seg = write_segmentation(tmp_path / "seg.dcm", source, 2, mask, mask.astype(np.uint8))
    report = {"segments": [{"id": 1, "length_px": 3.0}], "lesions": []}
    write_structured_report(tmp_path / "sr.dcm", source, 2, report, seg)
    for name in ("seg.dcm", "sr.dcm"):
        content = (tmp_path / name).read_bytes()
        assert [mark for mark in MARKS if mark in content] == []
        result = pydicom.dcmread(tmp_path / name)
        assert (result.PatientID, result.PatientIdentityRemoved) == (source.PatientID, "YES")
        dates = {
            element.value for element in result.iterall() if element.VR in ("DA", "DT") and element.value
        }
        assert dates == {value for value in dates if str(value).startswith("19000101")}
    assert seg.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_picture_and_geometry_stay(xa_source):
    source = xa_source()
    result = anonymise(source)
    assert np.array_equal(result.pixel_array, source.pixel_array)
    for keyword in ("ImagerPixelSpacing", "DistanceSourceToDetector", "PositionerPrimaryAngle", "FrameTime"):
        assert result[keyword].value == source[keyword].value


def test_enhanced_groups_keep_angles_and_lose_times(xa_source):
    source = xa_source(frames=1)
    frame, position, content = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    position.PositionerPrimaryAngle = 12.5
    content.FrameAcquisitionDateTime, content.FrameComments = "20240101120000", "SECRET"
    frame.PositionerPositionSequence, frame.FrameContentSequence = [position], [content]
    source.PerFrameFunctionalGroupsSequence = [frame]
    (kept,) = anonymise(source).PerFrameFunctionalGroupsSequence
    assert kept.PositionerPositionSequence[0].PositionerPrimaryAngle == 12.5
    assert list(kept.FrameContentSequence[0]) == []


def test_equal_before_is_equal_after_under_one_key(xa_source):
    first = xa_source()
    second = xa_source(StudyInstanceUID=first.StudyInstanceUID)
    other = xa_source(PatientID="other")
    one, two, three = anonymise(first), anonymise(second), anonymise(other)
    assert one.StudyInstanceUID == two.StudyInstanceUID != three.StudyInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.PatientID == two.PatientID != three.PatientID
    assert anonymise(first, b"key").SOPInstanceUID != one.SOPInstanceUID
    assert anonymise(first, b"key") == anonymise(first, b"key")
    assert pydicom.uid.UID(one.SOPInstanceUID).is_valid
    assert anonymous_name(first) == anonymous_name(first) != anonymous_name(second)


def test_the_source_is_left_as_it_was(secret_source):
    before = written(secret_source)
    anonymise(secret_source).PatientName = "changed"
    assert written(secret_source) == before


def test_text_burned_into_the_pixels_is_an_error(xa_source):
    with pytest.raises(ValueError, match=r"Burned In Annotation \(0028,0301\) is YES"):
        anonymise(xa_source(BurnedInAnnotation="YES"))
