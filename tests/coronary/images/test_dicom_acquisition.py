"""View angles, spacing and time against the wording of DICOM PS3.3, with values worked out by hand."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.dataset import Dataset

from monai_lora_sam.coronary.images import SPACING_SOURCES, dicom_acquisition, read_cine
from monai_lora_sam.images import OptionalTags


def views(dataset, frames, warnings=None):
    return dicom_acquisition.views(OptionalTags(dataset, [] if warnings is None else warnings), frames)


def spacings(dataset, frames, warnings=None):
    return dicom_acquisition.spacings(OptionalTags(dataset, [] if warnings is None else warnings), frames)


def frame_times_ms(dataset, frames, warnings=None):
    return dicom_acquisition.frame_times_ms(
        OptionalTags(dataset, [] if warnings is None else warnings), frames
    )


def _dataset(**elements) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def _item(**elements) -> list[Dataset]:
    return [_dataset(**elements)]


def test_static_angles_hold_for_all_frames():
    dataset = _dataset(PositionerPrimaryAngle="-30.5", PositionerSecondaryAngle="20")
    assert views(dataset, 3) == ((-30.5, 20.0),) * 3
    assert views(_dataset(PositionerPrimaryAngle="-30.5", PositionerSecondaryAngle=None), 2) == (None, None)
    assert views(Dataset(), 2) == (None, None)


def test_one_increment_is_a_step_per_frame_and_many_are_offsets_from_the_first():
    step = _dataset(
        PositionerPrimaryAngle="-90",
        PositionerSecondaryAngle="5",
        PositionerPrimaryAngleIncrement="1.5",
        PositionerSecondaryAngleIncrement=["0", "-1", "-3"],
    )
    assert views(step, 3) == ((-90.0, 5.0), (-88.5, 4.0), (-87.0, 2.0))
    # Absolute angles as offsets from 0 are allowed, too (PS3.3 C.8.7.5.1.3).
    absolute = _dataset(
        PositionerPrimaryAngle="0",
        PositionerSecondaryAngle="0",
        PositionerPrimaryAngleIncrement=["10", "20"],
        PositionerSecondaryAngleIncrement=["-5", "-6"],
    )
    assert views(absolute, 2) == ((10.0, -5.0), (20.0, -6.0))
    warnings = []
    assert views(absolute, 4, warnings) == ((0.0, 0.0), None, None, None)
    assert warnings[0] == (
        "DICOM PositionerPrimaryAngleIncrement (0018,1520): expected 1 or 4 values, found 2; taken as unknown."
    )


def test_enhanced_xa_has_angles_and_distances_per_frame_or_shared():
    per_frame = [
        _dataset(
            PositionerPositionSequence=_item(PositionerPrimaryAngle=primary, PositionerSecondaryAngle=10.0),
            XRayGeometrySequence=_item(DistanceSourceToDetector=detector, DistanceSourceToIsocenter=750.0),
        )
        for primary, detector in ((-20.0, 1000.0), (-10.0, 1200.0))
    ]
    shared = _item(FramePixelDataPropertiesSequence=_item(ImagerPixelSpacing=[0.2, 0.2]))
    dataset = _dataset(PerFrameFunctionalGroupsSequence=per_frame, SharedFunctionalGroupsSequence=shared)
    assert views(dataset, 2) == ((-20.0, 10.0), (-10.0, 10.0))
    found = spacings(dataset, 2)
    assert [s.mm for s in found] == pytest.approx([0.15, 0.125])
    assert {s.source for s in found} == {"distances"}
    shared[0].ProjectionPixelCalibrationSequence = _item(ObjectPixelSpacingInCenterOfBeam=[0.17, 0.17])
    assert [(round(s.mm, 6), s.source) for s in spacings(dataset, 2)] == [(0.17, "beam_centre")] * 2
    assert spacings(_dataset(SharedFunctionalGroupsSequence=_item()), 2) == (None, None)


DISTANCES = {"DistanceSourceToDetector": "1000", "DistanceSourceToPatient": "750"}
IMAGER = {"ImagerPixelSpacing": ["0.2", "0.2"]}


@pytest.mark.parametrize(
    ("elements", "mm", "source"),
    [
        (IMAGER | DISTANCES, 0.15, "distances"),
        (IMAGER | DISTANCES | {"EstimatedRadiographicMagnificationFactor": "1.6"}, 0.15, "distances"),
        (IMAGER | {"EstimatedRadiographicMagnificationFactor": "1.6"}, 0.125, "magnification"),
        (IMAGER | DISTANCES | {"PixelSpacing": ["0.3", "0.3"]}, 0.15, "distances"),
        (
            IMAGER
            | DISTANCES
            | {"PixelSpacing": ["0.16", "0.16"], "PixelSpacingCalibrationType": "FIDUCIAL"},
            0.16,
            "fiducial",
        ),
        (
            IMAGER
            | DISTANCES
            | {"PixelSpacing": ["0.16", "0.16"], "PixelSpacingCalibrationType": "GEOMETRY"},
            0.16,
            "geometry",
        ),
        (IMAGER | {"PixelSpacing": ["0.16", "0.16"]}, 0.16, "stated"),
        ({"PixelSpacing": ["0.16", "0.16"]}, 0.16, "stated"),
        (IMAGER | DISTANCES | {"DistanceSourceToPatient": "0"}, None, None),
        (IMAGER | {"PixelSpacing": ["0.2", "0.2"]}, None, None),
        (IMAGER, None, None),
        ({}, None, None),
    ],
)
def test_the_best_spacing_is_taken_and_its_source_named(elements, mm, source):
    first, second = spacings(_dataset(**elements), 2)
    assert first == second
    if mm is None:
        assert first is None
    else:
        assert (first.mm, first.source) == (pytest.approx(mm), source)
        assert first.description.startswith(SPACING_SOURCES[source])


def test_the_files_own_words_on_its_calibration_are_kept():
    dataset = _dataset(
        PixelSpacing=["0.2", "0.2"],
        PixelSpacingCalibrationType="FIDUCIAL",
        PixelSpacingCalibrationDescription="6F catheter",
    )
    assert spacings(dataset, 1)[0].description.endswith("(0028,0030): 6F catheter")


def test_oblong_and_negative_spacings_are_unknown():
    for wrong in (["0.2", "0.3"], ["-0.2", "-0.2"], ["0", "0"]):
        warnings = []
        assert spacings(_dataset(ImagerPixelSpacing=wrong, **DISTANCES), 1, warnings) == (None,)
        assert "(0018,1164): expected square pixels of a positive spacing" in warnings[0]


def test_times_come_from_the_vector_the_frame_time_or_the_rate():
    assert frame_times_ms(_dataset(FrameTimeVector=["0", "40", "80"], FrameTime="10"), 3) == (0, 40, 120)
    assert frame_times_ms(_dataset(FrameTime="33.3", CineRate="10"), 3) == pytest.approx((0, 33.3, 66.6))
    assert frame_times_ms(_dataset(CineRate="25"), 3) == pytest.approx((0, 40, 80))
    assert frame_times_ms(_dataset(RecommendedDisplayFrameRate="15"), 2) == pytest.approx(
        (0, 66.667), abs=1e-3
    )
    assert frame_times_ms(_dataset(FrameTime="0"), 3) is None
    assert frame_times_ms(Dataset(), 3) is None


MAGNIFICATION = "EstimatedRadiographicMagnificationFactor"


@pytest.mark.parametrize(
    ("elements", "mm", "words"),
    [
        (DISTANCES | {"DistanceSourceToPatient": "1"}, None, "found 1000 / 1 = 1000;"),
        (DISTANCES | {"DistanceSourceToPatient": "1000"}, None, "found 1000 / 1000 = 1;"),
        (DISTANCES | {"DistanceSourceToDetector": "1.0"}, None, "found 1 / 750 = 0.001333;"),  # in metres
        (DISTANCES | {"DistanceSourceToDetector": "100"}, None, "found 100 / 750 = 0.1333;"),  # in cm
        (DISTANCES | {"DistanceSourceToDetector": "1e300"}, None, "expected a magnification of 1.05 to 3"),
        (DISTANCES | {"DistanceSourceToDetector": "-1000"}, None, "expected at least 0, found -1000"),
        (DISTANCES | {"DistanceSourceToPatient": "1000", MAGNIFICATION: "1.6"}, 0.125, "1000 / 1000"),
        ({MAGNIFICATION: "1"}, None, "(0018,1114): expected 1.05 to 3, found 1;"),
        ({MAGNIFICATION: "160"}, None, "expected 1.05 to 3, found 160;"),
        (DISTANCES | {"ImagerPixelSpacing": ["0.0002", "0.0002"]}, None, "expected 0.05 to 2 mm per pixel"),
        (DISTANCES | {"ImagerPixelSpacing": ["1e300", "1e300"]}, None, "found 7.5e+299;"),
        (DISTANCES | {"ImagerPixelSpacing": ["inf", "inf"]}, None, "expected numbers"),
        (DISTANCES | {"ImagerPixelSpacing": ["0.2", "0.2", "0.2"]}, None, "expected 1 or 2 values, found 3"),
        ({"PixelSpacing": ["16", "16"]}, None, "expected 0.05 to 2 mm per pixel at the patient, found 16;"),
        (
            DISTANCES | {"PixelSpacing": ["16", "16"], "PixelSpacingCalibrationType": "FIDUCIAL"},
            0.15,
            "found 16;",
        ),
    ],
)
def test_an_implausible_spacing_is_unknown_and_the_next_counts(elements, mm, words):
    warnings = []
    dataset = _dataset(**({} if "PixelSpacing" in elements and mm is None else IMAGER) | elements)
    (found,) = spacings(dataset, 1, warnings)
    assert (found and found.mm) == (mm and pytest.approx(mm))
    assert len(warnings) == 1 and words in warnings[0] and warnings[0].endswith("; taken as unknown.")


def test_an_implausible_spacing_of_enhanced_xa_is_unknown_with_one_warning():
    shared = _item(
        ProjectionPixelCalibrationSequence=_item(ObjectPixelSpacingInCenterOfBeam=[0.0002, 0.0002]),
        XRayGeometrySequence=_item(DistanceSourceToDetector=1000.0, DistanceSourceToIsocenter=750.0),
        FramePixelDataPropertiesSequence=_item(ImagerPixelSpacing=[0.2, 0.2]),
    )
    warnings = []
    found = spacings(_dataset(SharedFunctionalGroupsSequence=shared), 3, warnings)
    assert {(round(one.mm, 6), one.source) for one in found} == {(0.15, "distances")}
    assert len(warnings) == 1 and "(0018,9404)" in warnings[0]


@pytest.mark.parametrize(
    "angles", [("RAO 30", "20"), ("190", "20"), ("-30", "95"), ("nan", "20"), (["1", "2"], "20")]
)
def test_an_angle_that_is_none_is_unknown(angles):
    warnings = []
    with pydicom.config.disable_value_validation():
        dataset = _dataset(**{"PositionerSecondaryAngle": angles[1]})
        dataset.add_new("PositionerPrimaryAngle", "LO" if "RAO" in angles[0] else "DS", angles[0])
    assert views(dataset, 2, warnings) == (None, None)
    assert len(warnings) == 1 and warnings[0].startswith("DICOM Positioner")


def test_an_arm_that_moves_too_far_is_unknown_from_there_on():
    warnings = []
    dataset = _dataset(
        PositionerPrimaryAngle="100", PositionerSecondaryAngle="0", PositionerPrimaryAngleIncrement="60"
    )
    assert views(dataset, 3, warnings) == ((100.0, 0.0), (160.0, 0.0), None)
    assert "found 220" in warnings[0]


def test_faulty_times_give_the_next_source_and_a_warning():
    warnings = []
    dataset = _dataset(FrameTimeVector=["0", "40"], FrameTime="-1", CineRate="25")
    assert frame_times_ms(dataset, 3, warnings) == pytest.approx((0, 40, 80))
    assert [warning.split(": ")[1] for warning in warnings] == [
        "expected 3 values, found 2; taken as unknown.",
        "expected at least 0 ms, found -1; taken as unknown.",
    ]


def test_files_with_a_faulty_side_tag_or_an_implausible_spacing(shared_cases):
    files = sorted(shared_cases.glob("c_side_tags/*.dcm")) + sorted(shared_cases.glob("e_spacing/*.dcm"))
    assert len(files) == 7
    for path in files:
        cine = read_cine(path)
        assert len(cine) == len(cine.warnings) == 1, path.name
        unknown = (cine.views[0] is None, cine.spacings[0] is None, cine.frame_times_ms is None)
        assert sum(unknown) == 1, path.name
