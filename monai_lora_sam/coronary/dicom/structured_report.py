"""Write a quantitative coronary analysis as a DICOM structured report (SR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset

from monai_lora_sam import __version__
from monai_lora_sam.coronary.anatomy import syntax_from_arcade_id
from monai_lora_sam.coronary.dicom.codes import CORONARY_ARTERY, CodedTerm, segment_code
from monai_lora_sam.coronary.dicom.measurements import (
    CALIBRATION_OBJECT_SIZE,
    CALIBRATION_UNCERTAINTY,
    DISTAL_BORDER,
    FRENCH,
    HORIZONTAL_SPACING,
    LESION_FIGURES,
    LOWER_UNCERTAINTY,
    MILLIMETRE_PER_PIXEL,
    PROXIMAL_BORDER,
    SEGMENT_FIGURES,
    SITE_OF_MINIMUM,
    UPPER_UNCERTAINTY,
    VERTICAL_SPACING,
    Figure,
    Value,
    values_of,
)
from monai_lora_sam.coronary.dicom.writing import (
    MANUFACTURER,
    MODEL_NAME,
    coded,
    finish,
    frame_count,
    name_of,
    new_series,
    require,
    save,
    single_frame_header,
)
from monai_lora_sam.coronary.images import SPACING_SOURCES

STENOSIS = CodedTerm("415582006", "SCT", "stenosis")
TOTAL_OCCLUSION = CodedTerm("26036001", "SCT", "occlusion")
CALIBRATION = CodedTerm("122505", "DCM", "Calibration")
CALIBRATION_METHOD = CodedTerm("122422", "DCM", "Calibration Method")
CALIBRATION_OBJECT = CodedTerm("122421", "DCM", "Calibration Object")
CATHETER = CodedTerm("19923001", "SCT", "Catheter")
COMMENT = CodedTerm("121106", "DCM", "Comment")
PRESENT = CodedTerm("52101004", "SCT", "Present")
ABSENT = CodedTerm("272519000", "SCT", "Absent")
#: Key of a lesion's point → its DICOM term.
POINT_TERMS = {
    "proximal_border_xy": PROXIMAL_BORDER,
    "mld_xy": SITE_OF_MINIMUM,
    "distal_border_xy": DISTAL_BORDER,
}
CORONARY_ANGIOGRAPHY = CodedTerm("33367005", "SCT", "Coronary Arteriography")

_OBJECT_USED = CodedTerm("122488", "DCM", "Calibration Object Used")
_ISOCENTRE = CodedTerm("122486", "DCM", "Geometric Isocenter")
_OFF_ISOCENTRE = CodedTerm("122487", "DCM", "Geometric Non-Isocenter")
#: `calibration["method"]` of a report → CID 3452, which has no code for a spacing given by hand or of unnamed origin.
CALIBRATION_METHODS: dict[str, CodedTerm] = {
    "catheter": _OBJECT_USED,
    "fiducial": _OBJECT_USED,
    "distances": _ISOCENTRE,
    "magnification": _ISOCENTRE,
    "geometry": _OFF_ISOCENTRE,
    "beam_centre": _OFF_ISOCENTRE,
}


def write_structured_report(
    path: str | Path,
    source: Dataset,
    frame_index: int,
    report: Mapping[str, Any],
    segmentation: Dataset | None = None,
    series_number: int = 902,
) -> Dataset:
    """Write the lesions and segments of one frame as a Comprehensive SR by TID 1500 (PS3.16).

    The report has measurement groups for the whole tree (with the presence of stenoses, if they were looked for), the
    calibration, each named segment and each lesion (TID 1410, its box as the region). Further groups of a lesion, under
    the same tracking UID, hold the points of its borders and of the smallest lumen. Concepts, methods and units are
    those of TID 3205 and 3213 to 3219: :mod:`monai_lora_sam.coronary.dicom.measurements`. Intervals are uncertainties
    of TID 310. The report is marked as not verified.

    Args:
        path: file to write.
        source: the angiogram's data set, single-frame or cine, with or without its pixels.
        frame_index: the measured frame, counted from 0.
        report: content of ``report.json`` (docs/report.md); `lesions`, `segments`, `calibration`, `image` and
            `vessels` are written where present. Points and boxes are (x, y) with pixel centres at whole numbers.
        segmentation: result of :func:`~monai_lora_sam.coronary.dicom.write_segmentation` for this frame; segments
            then refer to it.
        series_number: number of the new series.

    Returns:
        The written data set.

    Raises:
        ImportError: highdicom is missing.
        ValueError: a figure is no finite number, a box has no area or lies outside the frame, a segment is unknown,
            or the source lacks its identifiers.

    Example:
        >>> write_structured_report("sr.dcm", pydicom.dcmread("cine.dcm"), 17, report)  # doctest: +SKIP
    """
    sr, highdicom = require("highdicom.sr"), require("highdicom")
    header = single_frame_header(source, frame_index)
    try:
        groups = _Groups(source, frame_index, segmentation).of(report)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name_of(source)}: report cannot be written as DICOM SR: {error}") from error
    observer = sr.ObserverContext(
        observer_type=coded(CodedTerm("121007", "DCM", "Device")),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=highdicom.UID(), name=MODEL_NAME, manufacturer_name=MANUFACTURER, model_name=MODEL_NAME
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=coded(CORONARY_ANGIOGRAPHY),
        imaging_measurements=groups,
    )
    result = sr.ComprehensiveSR(
        evidence=[header, *([] if segmentation is None else [segmentation])],
        content=content[0],
        **new_series(series_number),
        series_description="Coronary measurements (research)",
        is_complete=True,
        is_verified=False,
    )
    finish(result, source)
    save(result, path)
    return result


class _Groups:
    """Make the measurement groups of a report on one frame."""

    def __init__(self, source: Dataset, frame_index: int, segmentation: Dataset | None) -> None:
        self.sr = require("highdicom.sr")
        self.size = (int(source.Columns), int(source.Rows))
        self.reference = (source.SOPClassUID, source.SOPInstanceUID)
        self.frames = [frame_index + 1] if frame_count(source) > 1 else None
        self.segmentation = segmentation
        self.algorithm = self.sr.AlgorithmIdentification(name=MANUFACTURER, version=__version__)

    def of(self, report: Mapping[str, Any]) -> list[Any]:
        groups = [self._tree(report)]
        if report.get("calibration") or _spacing(report) is not None:
            groups.append(self._calibration(report.get("calibration") or {}, _spacing(report)))
        segment_of_name = {row["name"]: row["id"] for row in report.get("segments") or () if "name" in row}
        for row in report.get("segments") or ():
            groups.append(self._segment(row))
        for row in report.get("lesions") or ():
            segment = row.get("segment_id") or segment_of_name.get(row.get("segment"))
            groups += self._lesion(row, segment)
        return groups

    def _tree(self, report: Mapping[str, Any]) -> Any:
        length = Figure("centreline_length", CodedTerm("410668003", "SCT", "Length"), "length")
        found = {True: PRESENT, False: ABSENT}
        return self._whole_image(
            "Coronary arteries",
            finding=CORONARY_ARTERY,
            values=values_of(report.get("vessels") or {}, [length]),
            evaluations=[(STENOSIS, found[bool(report["lesions"])])]
            if report.get("lesions") is not None
            else [],
            comment="Lengths are in pixels: the pixel spacing is unknown."
            if _spacing(report) is None
            else "",
        )

    def _calibration(self, calibration: Mapping[str, Any], spacing: float | None) -> Any:
        values, evaluations = [], []
        for name in (HORIZONTAL_SPACING, VERTICAL_SPACING) if spacing is not None else ():
            values.append(Value(Figure("", name, ""), float(spacing), MILLIMETRE_PER_PIXEL))  # type: ignore[arg-type]
        words = str(calibration.get("source") or "")
        named = (key for key, said in SPACING_SOURCES.items() if words.startswith(said))
        method = calibration.get("method") or next(named, None)
        values += values_of(calibration, [Figure("expected_error_percent", CALIBRATION_UNCERTAINTY, "%")])
        if method in CALIBRATION_METHODS:
            evaluations.append((CALIBRATION_METHOD, CALIBRATION_METHODS[method]))
        if method == "catheter":
            evaluations.append((CALIBRATION_OBJECT, CATHETER))
            if calibration.get("catheter_french") is not None:
                size = Figure("", CALIBRATION_OBJECT_SIZE, "")
                values.append(Value(size, float(calibration["catheter_french"]), FRENCH))
        return self._whole_image(
            "Calibration",
            finding=CALIBRATION,
            values=values,
            evaluations=evaluations,
            comment="; ".join(
                filter(None, (words or str(method or ""), str(calibration.get("detail") or "")))
            ),
        )

    def _segment(self, row: Mapping[str, Any]) -> Any:
        code = segment_code(syntax_from_arcade_id(row["id"]))
        arguments: dict[str, Any] = {
            **self._common(code.label, CORONARY_ARTERY, code.term),
            "measurements": self._measurements(values_of(row, SEGMENT_FIGURES), code.term),
        }
        frame = None if self.segmentation is None else _frame_of(self.segmentation, code.label)
        if self.segmentation is None or frame is None:
            return self.sr.MeasurementsAndQualitativeEvaluations(
                **arguments, source_images=[self._image(self.sr.SourceImageForMeasurementGroup)]
            )
        mask = self.sr.ReferencedSegmentationFrame(
            sop_class_uid=self.segmentation.SOPClassUID,
            sop_instance_uid=self.segmentation.SOPInstanceUID,
            frame_number=frame[0],
            segment_number=frame[1],
            source_image=self._image(self.sr.SourceImageForSegmentation),
        )
        # A frame of a binary segmentation is of one segment; PS3.3 C.18.4 allows only one of the two numbers.
        del mask[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
        return self.sr.PlanarROIMeasurementsAndQualitativeEvaluations(**arguments, referenced_segment=mask)

    def _lesion(self, row: Mapping[str, Any], segment: int | None) -> list[Any]:
        term = CORONARY_ARTERY if segment is None else segment_code(syntax_from_arcade_id(segment)).term
        finding = TOTAL_OCCLUSION if row.get("total_occlusion") else STENOSIS
        common = self._common(f"Lesion {row['id']}", finding, term)
        values = values_of(row, LESION_FIGURES)
        measurements = self._measurements(values, term)
        if row.get("box_xy") is not None:
            group = self.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                **common, referenced_region=self._box(row["box_xy"]), measurements=measurements
            )
        else:
            group = self.sr.MeasurementsAndQualitativeEvaluations(
                **common,
                measurements=measurements,
                source_images=[self._image(self.sr.SourceImageForMeasurementGroup)],
            )
        if any(value.interval for value in values):
            self._say(group, "Measurement uncertainties are the ends of 95 % intervals.")
        groups = [group]
        for key, finding in POINT_TERMS.items():
            if row.get(key) is None:
                continue
            point = self._region("POINT", np.array([row[key]], dtype=float) + 0.5)
            groups.append(
                self.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                    **{**common, "finding_type": coded(finding)}, referenced_region=point
                )
            )
        return groups

    def _whole_image(
        self,
        label: str,
        finding: CodedTerm,
        values: Sequence[Value],
        evaluations: Sequence[tuple[CodedTerm, CodedTerm]],
        comment: str = "",
    ) -> Any:
        group = self.sr.MeasurementsAndQualitativeEvaluations(
            **self._common(label, finding, None),
            measurements=self._measurements(values),
            qualitative_evaluations=[
                self.sr.QualitativeEvaluation(name=coded(name), value=coded(value))
                for name, value in evaluations
            ],
            source_images=[self._image(self.sr.SourceImageForMeasurementGroup)],
        )
        if comment:
            self._say(group, comment)
        return group

    def _say(self, group: Any, comment: str) -> None:
        group[0].ContentSequence.append(
            self.sr.TextContentItem(coded(COMMENT), comment, self.sr.RelationshipTypeValues.CONTAINS)
        )

    def _common(self, label: str, finding: CodedTerm, site: CodedTerm | None) -> dict[str, Any]:
        return {
            "tracking_identifier": self.sr.TrackingIdentifier(
                uid=require("highdicom").UID(), identifier=label
            ),
            "finding_type": coded(finding),
            "finding_sites": None if site is None else [self.sr.FindingSite(coded(site))],
            "algorithm_id": self.algorithm,
        }

    def _measurements(self, values: Sequence[Value], site: CodedTerm | None = None) -> list[Any]:
        measurements = []
        for figure, number, unit, interval in values:
            sites = None
            if figure.position is not None and site is not None:
                sites = [self.sr.FindingSite(coded(site), topographical_modifier=coded(figure.position))]
            measurement = self.sr.Measurement(
                name=coded(figure.name),
                value=number,
                unit=coded(unit),
                derivation=None if figure.derivation is None else coded(figure.derivation),
                method=None if figure.method is None else coded(figure.method),
                finding_sites=sites,
            )
            if interval is not None:
                self._bound(measurement, number, interval, unit)
            measurements.append(measurement)
        return measurements

    def _bound(self, measurement: Any, number: float, interval: tuple[float, float], unit: CodedTerm) -> None:
        """Add upper and lower uncertainty of a measurement (TID 310); highdicom's own method gives them no unit."""
        low, high = interval
        if "ContentSequence" not in measurement[0]:
            measurement[0].ContentSequence = self.sr.ContentSequence()
        for name, width in ((UPPER_UNCERTAINTY, high - number), (LOWER_UNCERTAINTY, number - low)):
            measurement[0].ContentSequence.append(
                self.sr.NumContentItem(
                    coded(name),
                    round(width, 6),
                    coded(unit),
                    relationship_type=self.sr.RelationshipTypeValues.HAS_PROPERTIES,
                )
            )

    def _box(self, box_xy: Sequence[float]) -> Any:
        left, top, right, bottom = (float(value) + 0.5 for value in box_xy)
        width, height = self.size
        if not (right > left and bottom > top and left < width and top < height and right > 0 and bottom > 0):
            raise ValueError(f"expected a box with an area within {width} × {height} pixels, found {box_xy}")
        # A box may stand out of the picture by half a vessel; SR coordinates may not.
        (left, right), (top, bottom) = np.clip((left, right), 0, width), np.clip((top, bottom), 0, height)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        return self._region("POLYLINE", np.array(corners))

    def _region(self, kind: str, points_xy: np.ndarray) -> Any:
        if not (np.isfinite(points_xy).all() and (points_xy >= 0).all() and (points_xy <= self.size).all()):
            raise ValueError(f"expected points within {self.size} pixels, found {(points_xy - 0.5).tolist()}")
        return self.sr.ImageRegion(kind, points_xy, self._image(self.sr.SourceImageForRegion))

    def _image(self, kind: Any) -> Any:
        return kind(*self.reference, self.frames)


def _spacing(report: Mapping[str, Any]) -> float | None:
    """Return the spacing in mm behind the figures in mm; None where unknown."""
    known = (report.get("calibration") or {}).get("pixel_spacing_mm")
    return known if known is not None else (report.get("image") or {}).get("pixel_spacing_mm")


def _frame_of(segmentation: Dataset, label: str) -> tuple[int, int] | None:
    """Return frame and segment number, from 1, of the segment with a label; None where it has no pixels."""
    numbers = {segment.SegmentLabel: segment.SegmentNumber for segment in segmentation.SegmentSequence}
    for frame, groups in enumerate(segmentation.PerFrameFunctionalGroupsSequence, start=1):
        identification = groups.get("SegmentIdentificationSequence") or (
            segmentation.SharedFunctionalGroupsSequence[0].SegmentIdentificationSequence
        )
        if identification[0].ReferencedSegmentNumber == numbers.get(label):
            return frame, numbers[label]
    return None
