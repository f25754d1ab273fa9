from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.sr.codedict import codes

from monai_lora_sam.coronary.anatomy import CassSegment, SyntaxSegment
from monai_lora_sam.coronary.dicom import codes as our_codes
from monai_lora_sam.coronary.dicom.segmentation import write_segmentation

hd = pytest.importorskip("highdicom")


@pytest.fixture
def masks():
    vessels = np.zeros((48, 40), bool)
    vessels[5:40, 18:22] = True
    vessels[20:23, 18:38] = True
    segments = np.zeros((48, 40), np.uint8)
    segments[5:20, 18:22] = 6
    segments[20:40, 18:22] = 7
    segments[20:23, 22:38] = 13  # ARCADE's 13 is SYNTAX 11
    return vessels, segments


def referenced_frames(dataset):
    items = [
        reference
        for frame in dataset.PerFrameFunctionalGroupsSequence
        for reference in frame.DerivationImageSequence[0].SourceImageSequence
    ]
    return {item.get("ReferencedFrameNumber") for item in [*items, *dataset.SourceImageSequence]}


def test_highdicom_reads_the_same_masks(tmp_path, xa_source, masks):
    vessels, segments = masks
    source = xa_source()
    write_segmentation(tmp_path / "new" / "seg.dcm", source, 3, vessels, segments)
    seg = hd.seg.segread(tmp_path / "new" / "seg.dcm")
    stack = seg.get_pixels_by_source_frame(
        source_sop_instance_uid=source.SOPInstanceUID, source_frame_numbers=[4], combine_segments=False
    )[0]
    assert np.array_equal(stack[..., 0], vessels)
    for index, label in enumerate((6, 7, 13), start=1):
        assert np.array_equal(stack[..., index], segments == label)
    assert referenced_frames(seg) == {4}
    assert seg.number_of_segments == 4
    listed = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert "ReferencedFrameNumber" not in listed and listed.ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_simpleitk_and_pydicom_read_the_same_masks(tmp_path, xa_source, masks):
    vessels, segments = masks
    write_segmentation(tmp_path / "seg.dcm", xa_source(), 0, vessels, segments)
    expected = [vessels, segments == 6, segments == 7, segments == 13]
    assert np.array_equal(pydicom.dcmread(tmp_path / "seg.dcm").pixel_array, expected)
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "seg.dcm")))
    assert np.array_equal(image > 0, expected)


def test_segments_are_coded_by_cid_3014(tmp_path, xa_source, masks):
    seg = write_segmentation(tmp_path / "seg.dcm", xa_source(), 3, *masks)
    described = [
        (item.segment_label, item.segmented_property_type)
        for item in map(seg.get_segment_description, (1, 2, 4))
    ]
    assert [label for label, _ in described] == [
        "Coronary arteries",
        "SYNTAX 6, CASS 12",
        "SYNTAX 11, CASS 18",
    ]
    assert [code for _, code in described] == [
        codes.SCT.CoronaryArtery,
        codes.CID3014.ProximalLeftAnteriorDescendingCoronaryArtery,
        codes.CID3014.ProximalCircumflexCoronaryArtery,
    ]


def test_the_table_is_cid_3014_of_pydicom():
    published = {
        (code.value, code.scheme_designator, code.meaning) for code in codes.CID3014.concepts.values()
    }
    ours = {tuple(term) for term in our_codes.CODE_OF_CASS.values()}
    # CID 3014 also has the two ostia, which are no segments of CASS.
    assert {meaning for _, _, meaning in published - ours} == {
        "Left Main Coronary Artery Ostium",
        "Right Coronary Artery Ostium",
    }
    assert ours <= published
    assert set(our_codes.CODE_OF_CASS) == set(CassSegment)
    parents = {(code.value, code.meaning) for code in codes.CID3015.concepts.values()}
    assert {(term.value, term.meaning) for term in our_codes.CODE_OF_VESSEL.values()} <= parents


@pytest.mark.parametrize("segment", SyntaxSegment)
def test_every_syntax_segment_has_a_code(segment):
    term, label, cass = our_codes.segment_code(segment)
    assert term.meaning and label.startswith(f"SYNTAX {segment.value},")
    assert (cass is None) == label.endswith("no CASS segment")


def test_a_segment_without_counterpart_is_coded_as_its_artery(monkeypatch):
    monkeypatch.setattr(our_codes, "cass_from_syntax", lambda segment, dominance: None)
    assert our_codes.segment_code(SyntaxSegment.OBTUSE_MARGINAL_B) == (
        ("57396003", "SCT", "Circumflex Coronary Artery"),
        "SYNTAX 12b, no CASS segment",
        None,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
        {"OtherPatientNames": ["Müller^J", "Møller^J"], "PatientComments": "für ÷"},
        {"PatientSex": "U", "PatientBirthDate": None, "StudyDate": None, "AccessionNumber": None},
        {
            "PatientName": None,
            "PatientID": None,
            "ReferringPhysicianName": None,
            "SpecificCharacterSet": None,
        },
    ],
)
def test_patient_and_study_are_the_source_s_own(tmp_path, xa_source, masks, changes):
    xa_source(**changes).save_as(tmp_path / "source.dcm", enforce_file_format=True)
    source = pydicom.dcmread(tmp_path / "source.dcm")
    write_segmentation(tmp_path / "seg.dcm", source, 3, *masks)
    written = pydicom.dcmread(tmp_path / "seg.dcm")
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"):
        assert (written.get(keyword) or "") == (source.get(keyword) or ""), keyword
    for keyword in ("OtherPatientNames", "PatientComments"):
        assert written.get(keyword) == source.get(keyword)
    assert written.StudyInstanceUID == source.StudyInstanceUID
    assert written.SeriesInstanceUID != source.SeriesInstanceUID


def test_geometry_is_only_what_the_source_has(tmp_path, xa_source, masks):
    plain = write_segmentation(tmp_path / "plain.dcm", xa_source(), 3, *masks)
    assert "FrameOfReferenceUID" not in plain
    assert "PixelMeasuresSequence" not in plain.SharedFunctionalGroupsSequence[0]
    source = xa_source(FrameOfReferenceUID="1.2.3", PixelSpacing=[0.21, 0.21])
    calibrated = write_segmentation(tmp_path / "calibrated.dcm", source, 3, *masks)
    assert calibrated.FrameOfReferenceUID == "1.2.3"
    assert "PixelMeasuresSequence" not in calibrated.SharedFunctionalGroupsSequence[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"PixelSpacing": [0.21, 0.21], "FrameOfReferenceUID": "1.2.3"},
        {"PixelSpacing": [0.21, 0.21], "ImagerPixelSpacing": None},
        {"frames": 1, "PixelSpacing": [0.21, 0.21]},
        {"frames": 1, "ImagerPixelSpacing": None},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1.1", "PixelSpacing": [0.21, 0.21]},
    ],
)
def test_other_readers_read_every_segmentation(tmp_path, xa_source, masks, changes):
    source = xa_source(**changes)
    if source.SOPClassUID.endswith(".12.1.1"):  # enhanced XA with its spacing in the functional groups
        measures = pydicom.Dataset()
        measures.PixelSpacing = [0.21, 0.21]
        group = pydicom.Dataset()
        group.PixelMeasuresSequence = [measures]
        source.SharedFunctionalGroupsSequence = [group]
        source.PerFrameFunctionalGroupsSequence = [pydicom.Dataset() for _ in range(5)]
    frame = 0 if source.get("NumberOfFrames") is None else 3
    write_segmentation(tmp_path / "seg.dcm", source, frame, *masks)
    expected = [masks[0], *(masks[1] == label for label in (6, 7, 13))]
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    if frame:
        read = seg.get_pixels_by_source_frame(source.SOPInstanceUID, [frame + 1], combine_segments=False)[0]
    else:
        read = seg.get_pixels_by_source_instance([source.SOPInstanceUID], combine_segments=False)[0]
    assert np.array_equal(np.moveaxis(read, -1, 0), expected)
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "seg.dcm"))) > 0, expected)


def test_missing_functional_groups_of_a_frame_are_named(tmp_path, xa_source, masks):
    source = xa_source(SOPClassUID="1.2.840.10008.5.1.4.1.1.12.1.1")
    source.PerFrameFunctionalGroupsSequence = [pydicom.Dataset()]
    with pytest.raises(ValueError, match="expected functional groups of frame 4, found those of 1 frames"):
        write_segmentation(tmp_path / "seg.dcm", source, 3, *masks)


def test_a_single_frame_is_referred_to_without_number(tmp_path, xa_source, masks):
    seg = write_segmentation(tmp_path / "seg.dcm", xa_source(frames=1), 0, masks[0])
    assert referenced_frames(seg) == {None}
    assert seg.number_of_segments == 1


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.1.1.12.1.1",  # Enhanced XA
        "1.2.840.10008.5.1.4.1.1.12.2",  # X-ray radiofluoroscopic
        "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
        "1.2.840.10008.5.1.4.1.1.7.2",  # multi-frame secondary capture
    ],
)
def test_other_kinds_of_angiograms(tmp_path, xa_source, masks, sop_class):
    single = sop_class.endswith(".1.7")
    source = xa_source(frames=1 if single else 3, SOPClassUID=sop_class)
    if sop_class.endswith("12.1.1"):
        source.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
        source.PerFrameFunctionalGroupsSequence = [pydicom.Dataset() for _ in range(3)]
    write_segmentation(tmp_path / "seg.dcm", source, 0 if single else 2, *masks)
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    assert np.array_equal(seg.pixel_array[0], masks[0])
    assert referenced_frames(seg) == ({None} if single else {3})


def test_an_empty_mask_is_written_as_such(tmp_path, xa_source):
    write_segmentation(tmp_path / "seg.dcm", xa_source(), 1, np.zeros((48, 40), bool))
    assert not hd.seg.segread(tmp_path / "seg.dcm").pixel_array.any()


def test_the_source_is_left_as_it_was(tmp_path, xa_source, masks):
    source = xa_source()
    before = source.to_json()
    write_segmentation(tmp_path / "seg.dcm", source, 3, *masks)
    assert source.to_json() == before


def test_bad_input_is_one_clear_error(tmp_path, xa_source, masks):
    vessels, segments = masks
    path = tmp_path / "seg.dcm"
    with pytest.raises(ValueError, match=r"vessels of shape \(48, 40\), found \(40, 48\)"):
        write_segmentation(path, xa_source(), 0, vessels.T)
    with pytest.raises(ValueError, match="vessels as bool, found uint8"):
        write_segmentation(path, xa_source(), 0, vessels.astype(np.uint8))
    with pytest.raises(ValueError, match="integer ids, found float64"):
        write_segmentation(path, xa_source(), 0, vessels, segments.astype(float))
    with pytest.raises(ValueError, match="26 is 'stenosis'"):
        write_segmentation(path, xa_source(), 0, vessels, np.where(vessels, 26, 0))
    with pytest.raises(ValueError, match="frame from 0 to 4, found 5"):
        write_segmentation(path, xa_source(), 5, vessels)
    with pytest.raises(ValueError, match="none of StudyInstanceUID, Rows"):
        write_segmentation(path, xa_source(StudyInstanceUID=None, Rows=None), 0, vessels)
    assert list(tmp_path.iterdir()) == []


def test_highdicom_is_imported_nowhere_at_the_top():
    package = Path(our_codes.__file__).parents[2]
    importing = [
        path.name
        for path in package.rglob("*.py")
        if re.search(r"^\s*(import|from) highdicom", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert importing == []


def test_without_highdicom_the_extra_is_named(tmp_path, xa_source, masks, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom.seg", None)
    with pytest.raises(ImportError, match=r'pip install "highdicom'):
        write_segmentation(tmp_path / "seg.dcm", xa_source(), 0, masks[0])
