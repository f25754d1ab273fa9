from __future__ import annotations

import copy

import numpy as np
import pydicom
import pytest
from pydicom.sr._concepts_dict import concepts as CONCEPTS
from pydicom.sr.codedict import codes

from monai_lora_sam.coronary.dicom import measurements, structured_report
from monai_lora_sam.coronary.dicom.codes import CodedTerm
from monai_lora_sam.coronary.dicom.segmentation import write_segmentation
from monai_lora_sam.coronary.dicom.structured_report import write_structured_report
from monai_lora_sam.coronary.images import SPACING_SOURCES
from monai_lora_sam.coronary.qca.calibration import BY_HAND, EXPECTED_ERRORS, Calibration

hd = pytest.importorskip("highdicom")

LESION = {
    "id": 1,
    "segment": "6 LAD proximal",
    "segment_id": 6,
    "score": 0.87,
    "reference_method": "interpolated",
    "percent_diameter_stenosis": 71.234,
    "percent_area_stenosis": 91.7,
    "percent_diameter_stenosis_averaged_reference": 70.0,
    "mld_px": 1.2,
    "mld_mm": 0.27,
    "rvd_px": 4.1,
    "rvd_mm": 0.9225,
    "averaged_rvd_mm": 0.9,
    "proximal_reference_mm": 0.95,
    "distal_reference_mm": 0.85,
    "length_px": 10.0,
    "length_mm": 2.25,
    "percent_diameter_stenosis_interval": [65.0, 76.0],
    "mld_mm_interval": [0.2, 0.35],
    "proximal_border_position_mm": 3.0,
    "mld_position_mm": 4.5,
    "distal_border_position_mm": 5.25,
    "proximal_border_xy": [19.0, 7.0],
    "mld_xy": [19.5, 12.0],
    "distal_border_xy": [21.0, 17.25],
    "box_xy": [16.0, 7.0, 24.0, 18.0],
    "profile": {"arc_length_px": [0.0], "diameter_px": [None]},
}


@pytest.fixture
def report():
    return {
        "image": {"pixel_spacing_mm": 0.225},
        "vessels": {"centreline_length_px": 100.0, "centreline_length_mm": 22.5},
        "calibration": {"method": "catheter", "catheter_french": 6, "source": "a catheter of 6 F ÷ π"},
        "segments": [
            {"id": 6, "name": "6 LAD proximal", "length_mm": 3.375, "median_diameter_mm": 0.9},
            {"id": 25, "name": "14b", "length_mm": 4.5},
        ],
        "lesions": [copy.deepcopy(LESION)],
    }


def read(path):
    """Return highdicom's view of a report by what each group tracks."""
    content = hd.sr.srread(path).content
    roi = content.get_planar_roi_measurement_groups()
    other = content.get_image_measurement_groups()
    return {(group.tracking_identifier, group.finding_type.meaning): group for group in [*roi, *other]}


def figures(group):
    """Return {(name, derivation, method): (value, unit)}."""
    result = {}
    for measurement in group.get_measurements():
        kind = [part.meaning if part else "" for part in (measurement.derivation, measurement.method)]
        place = [site.topographical_modifier.meaning for site in measurement.finding_sites]
        result[(measurement.name.meaning, *kind, *place)] = (measurement.value, measurement.unit.value)
    return result


def test_highdicom_reads_the_lesion_s_figures(tmp_path, xa_source, report):
    write_structured_report(tmp_path / "new" / "sr.dcm", xa_source(), 3, report)
    group = read(tmp_path / "new" / "sr.dcm")["Lesion 1", "stenosis"]
    assert figures(group) == {
        ("Lumen Diameter Stenosis", "", "Interpolated Local Reference"): (71.234, "%"),
        ("Lumen Diameter Stenosis", "", "Mean Local Reference"): (70.0, "%"),
        ("Lumen Area Stenosis", "", "Circular method"): (91.7, "%"),
        ("Vessel lumen diameter", "Minimum", ""): (0.27, "mm"),
        ("Vessel lumen diameter", "", "Interpolated Local Reference"): (0.9225, "mm"),
        ("Vessel lumen diameter", "", "Mean Local Reference"): (0.9, "mm"),
        ("Vessel lumen diameter", "Mean", "", "Proximal Reference"): (0.95, "mm"),
        ("Vessel lumen diameter", "Mean", "", "Distal Reference"): (0.85, "mm"),
        ("Position of Proximal Border", "", ""): (3.0, "mm"),
        ("Site of Lumen Minimum", "", ""): (4.5, "mm"),
        ("Position of Distal Border", "", ""): (5.25, "mm"),
        ("Stenotic Lesion Length", "", ""): (2.25, "mm"),
        ("Certainty of Finding", "", ""): (87.0, "%"),
    }
    (site,) = group.finding_sites
    assert site.value == codes.CID3014.ProximalLeftAnteriorDescendingCoronaryArtery


def test_intervals_are_uncertainties_in_the_measurement_s_unit(tmp_path, xa_source, report):
    write_structured_report(tmp_path / "sr.dcm", xa_source(), 3, report)
    group = read(tmp_path / "sr.dcm")["Lesion 1", "stenosis"]
    found = {}
    for measurement in group.get_measurements():
        for item in measurement[0].get("ContentSequence", []):
            if item.ValueType == "NUM":
                assert item.RelationshipType == "HAS PROPERTIES"
                found[measurement.name.meaning, item.name.value] = (item.value, item.unit.value)
    upper, lower = codes.SCT.RangeOfUpperMeasurementUncertainty, codes.SCT.RangeOfLowerMeasurementUncertainty
    assert found == {
        ("Lumen Diameter Stenosis", upper.value): (pytest.approx(76 - 71.234), "%"),
        ("Lumen Diameter Stenosis", lower.value): (pytest.approx(71.234 - 65), "%"),
        ("Vessel lumen diameter", upper.value): (pytest.approx(0.35 - 0.27), "mm"),
        ("Vessel lumen diameter", lower.value): (pytest.approx(0.27 - 0.2), "mm"),
    }
    assert comments(group) == ["Measurement uncertainties are the ends of 95 % intervals."]


def test_a_measured_segment_has_what_a_lesion_has(tmp_path, xa_source):
    row = {
        "id": 6,
        "name": "6",
        "reference_method": "interpolated",
        "length_mm": 12.0,
        "percent_diameter_stenosis": 50.0,
        "mld_mm": 1.25,
        "rvd_mm": 2.5,
        "averaged_rvd_mm": None,
        "proximal_diameter_mm": 2.75,
        "distal_diameter_mm": 2.25,
        "median_diameter_mm": 2.4,
        "proximal_border_position_mm": 1.0,
        "mld_position_mm": 7.0,
        "distal_border_position_mm": 13.0,
    }
    write_structured_report(tmp_path / "sr.dcm", xa_source(), 0, {"segments": [row]})
    group = read(tmp_path / "sr.dcm")["SYNTAX 6, CASS 12", "Coronary artery"]
    reference = "Interpolated Local Reference"
    assert figures(group) == {
        ("Length Luminal Segment", "", ""): (12.0, "mm"),
        ("Lumen Diameter Stenosis", "", reference): (50.0, "%"),
        ("Vessel lumen diameter", "Minimum", ""): (1.25, "mm"),
        ("Vessel lumen diameter", "", reference): (2.5, "mm"),
        ("Position of Proximal Border", "", ""): (1.0, "mm"),
        ("Site of Lumen Minimum", "", ""): (7.0, "mm"),
        ("Position of Distal Border", "", ""): (13.0, "mm"),
        ("Vessel lumen diameter", "", reference, "Proximal Reference"): (2.75, "mm"),
        ("Vessel lumen diameter", "", reference, "Distal Reference"): (2.25, "mm"),
        ("Vessel lumen diameter", "Median", ""): (2.4, "mm"),
    }


def test_regions_lie_on_the_frame_in_dicom_s_coordinates(tmp_path, xa_source, report):
    source = xa_source()
    write_structured_report(tmp_path / "sr.dcm", source, 3, report)
    groups = read(tmp_path / "sr.dcm")
    lesion, minimum = groups["Lesion 1", "stenosis"], groups["Lesion 1", "Site of Lumen Minimum"]
    borders = [groups["Lesion 1", f"Position of {side} Border"] for side in ("Proximal", "Distal")]
    assert {group.tracking_uid for group in (minimum, *borders)} == {lesion.tracking_uid}
    assert [border.roi.value.tolist() for border in borders] == [[[19.5, 7.5]], [[21.5, 17.75]]]
    # PS3.3 C.18.6: the first pixel's centre is at (0.5, 0.5), ours at (0, 0).
    corners = [[16.5, 7.5], [24.5, 7.5], [24.5, 18.5], [16.5, 18.5], [16.5, 7.5]]
    assert lesion.roi.value.tolist() == corners
    assert minimum.roi.value.tolist() == [[20.0, 12.5]]
    image = lesion.roi.ContentSequence[0].ReferencedSOPSequence[0]
    assert (image.ReferencedSOPInstanceUID, image.ReferencedFrameNumber) == (source.SOPInstanceUID, 4)


def test_segments_refer_to_their_masks(tmp_path, xa_source, report):
    source, segments = xa_source(), np.zeros((48, 40), np.uint8)
    segments[5:20, 18:22] = 6
    seg = write_segmentation(tmp_path / "seg.dcm", source, 3, segments > 0, segments)
    write_structured_report(tmp_path / "sr.dcm", source, 3, report, seg)
    groups = read(tmp_path / "sr.dcm")
    group = groups["SYNTAX 6, CASS 12", "Coronary artery"]
    assert figures(group) == {
        ("Length Luminal Segment", "", ""): (3.375, "mm"),
        ("Vessel lumen diameter", "Median", ""): (0.9, "mm"),
    }
    (mask,) = (
        item for item in group[0].ContentSequence if item.name.meaning == "Referenced Segmentation Frame"
    )
    reference = mask.ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
    frame = hd.seg.segread(tmp_path / "seg.dcm").get_frame(reference.ReferencedFrameNumber, as_index=False)
    assert np.array_equal(frame > 0, segments == 6)
    # 14b has a row but no pixels in this mask.
    assert isinstance(
        groups["SYNTAX 14b, CASS 26", "Coronary artery"], hd.sr.MeasurementsAndQualitativeEvaluations
    )


def test_the_calibration_says_how(tmp_path, xa_source, report):
    write_structured_report(tmp_path / "sr.dcm", xa_source(), 3, report)
    group = read(tmp_path / "sr.dcm")["Calibration", "Calibration"]
    assert figures(group) == {
        ("Horizontal Pixel Spacing", "", ""): (0.225, "mm/{pixel}"),
        ("Vertical Pixel Spacing", "", ""): (0.225, "mm/{pixel}"),
        ("Calibration Object Size", "", ""): (6.0, "[Ch]"),
    }
    said = {item.name.meaning: item.value.meaning for item in group.get_qualitative_evaluations()}
    assert said == {"Calibration Method": "Calibration Object Used", "Calibration Object": "Catheter"}
    assert comments(group) == ["a catheter of 6 F ÷ π"]


@pytest.mark.parametrize(
    ("calibration", "said"),
    [
        ({"source": SPACING_SOURCES["distances"]}, "Geometric Isocenter"),
        ({"source": SPACING_SOURCES["fiducial"] + ": sphere of 30 mm"}, "Calibration Object Used"),
        ({"method": "beam_centre"}, "Geometric Non-Isocenter"),
        ({"method": BY_HAND}, None),
    ],
)
def test_the_method_is_coded_where_there_is_a_code(tmp_path, xa_source, calibration, said):
    report = {"image": {"pixel_spacing_mm": 0.2}, "calibration": calibration}
    write_structured_report(tmp_path / "sr.dcm", xa_source(), 3, report)
    group = read(tmp_path / "sr.dcm")["Calibration", "Calibration"]
    methods = [item.value.meaning for item in group.get_qualitative_evaluations()]
    assert methods == ([said] if said else [])


def test_the_calibration_of_the_qca_room_is_understood(tmp_path, xa_source):
    calibration = Calibration(0.3, "catheter", 3.2, "6 French, 6.67 px wide")
    write_structured_report(tmp_path / "sr.dcm", xa_source(), 3, {"calibration": calibration.to_json()})
    group = read(tmp_path / "sr.dcm")["Calibration", "Calibration"]
    assert figures(group)["Vertical Pixel Spacing", "", ""] == (0.3, "mm/{pixel}")
    assert figures(group)["Calibration Uncertainty", "", ""] == (3.2, "%")
    assert comments(group) == ["catheter; 6 French, 6.67 px wide"]
    assert set(EXPECTED_ERRORS) - set(structured_report.CALIBRATION_METHODS) == {"stated", BY_HAND}


def test_without_spacing_the_unit_is_pixels(tmp_path, xa_source):
    lesion = {"id": "a", "mld_px": 1.25, "rvd_px": 4.0, "percent_diameter_stenosis": 68.75, "mld_xy": [3, 4]}
    write_structured_report(tmp_path / "sr.dcm", xa_source(frames=1), 0, {"lesions": [lesion]})
    groups = read(tmp_path / "sr.dcm")
    group = groups["Lesion a", "stenosis"]
    assert figures(group) == {  # no reference line is claimed where the row names none
        ("Vessel lumen diameter", "Minimum", ""): (1.25, "{pixels}"),
        ("Vessel lumen diameter", "", ""): (4.0, "{pixels}"),
        ("Lumen Diameter Stenosis", "", ""): (68.75, "%"),
    }
    assert group.finding_sites[0].value == codes.SCT.CoronaryArtery
    assert ("Calibration", "Calibration") not in groups
    (comment,) = comments(groups["Coronary arteries", "Coronary artery"])
    assert "pixel spacing is unknown" in comment


def comments(group):
    return [item.value for item in group[0].ContentSequence if item.name.meaning == "Comment"]


@pytest.mark.parametrize(("lesions", "said"), [([], "Absent"), ([LESION], "Present"), (None, None)])
def test_it_says_whether_stenoses_were_looked_for(tmp_path, xa_source, lesions, said):
    write_structured_report(
        tmp_path / "sr.dcm", xa_source(), 0, {} if lesions is None else {"lesions": lesions}
    )
    tree = read(tmp_path / "sr.dcm")["Coronary arteries", "Coronary artery"]
    assert [item.value.meaning for item in tree.get_qualitative_evaluations()] == ([said] if said else [])


def test_an_occlusion_is_named_so_and_a_box_ends_with_the_picture(tmp_path, xa_source):
    lesion = {"id": 2, "segment": "7", "total_occlusion": True, "percent_diameter_stenosis": 100, "mld_px": 0}
    lesion["box_xy"] = [-3, 40, 10, 60]
    rows = {"lesions": [lesion], "segments": [{"id": 7, "name": "7"}]}
    write_structured_report(tmp_path / "sr.dcm", xa_source(), 0, rows)
    group = read(tmp_path / "sr.dcm")["Lesion 2", "occlusion"]
    assert group.roi.value.tolist() == [[0, 40.5], [10.5, 40.5], [10.5, 48], [0, 48], [0, 40.5]]
    assert group.finding_sites[0].value == codes.CID3014.MidLeftAnteriorDescendingCoronaryArtery


def test_the_report_is_unverified_and_the_patient_the_source_s(tmp_path, xa_source, report):
    source = xa_source()
    write_structured_report(tmp_path / "sr.dcm", source, 3, report)
    written = pydicom.dcmread(tmp_path / "sr.dcm")
    assert (written.CompletionFlag, written.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber"):
        assert written[keyword].value == source[keyword].value
    evidence = written.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_the_concepts_are_those_of_pydicom_s_dictionary():
    published = {
        (value, scheme, meaning)
        for scheme, concepts in CONCEPTS.items()
        for spellings in concepts.values()
        for value, (meaning, _) in spellings.items()
    }
    ours = {
        tuple(term)
        for module in (measurements, structured_report)
        for term in vars(module).values()
        if isinstance(term, CodedTerm)
    }
    # Pixels as a unit are named in the templates (TID 3205, 3218), not in a context group.
    assert {value for value, _, _ in ours - published} == {"{pixels}", "mm/{pixel}"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"percent_diameter_stenosis": float("nan")}, "finite number for percent_diameter_stenosis"),
        ({"mld_mm": "thin"}, "finite number for mld_mm, found 'thin'"),
        ({"box_xy": [5, 5, 5, 9]}, "box with an area"),
        ({"box_xy": [50, 5, 60, 9]}, "box with an area within 40 × 48"),
        ({"mld_xy": [41, 5]}, "points within"),
        ({"mld_mm_interval": [0.2, float("inf")]}, "finite number for mld_mm"),
        ({"segment_id": 26}, "26 is 'stenosis'"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, xa_source, report, change, message):
    report["lesions"][0].update(change)
    with pytest.raises(ValueError, match=message):
        write_structured_report(tmp_path / "sr.dcm", xa_source(), 0, report)
    assert list(tmp_path.iterdir()) == []
