"""DICOM concepts of a report's figures: coded measurements with units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monai_lora_sam.coronary.dicom.codes import CodedTerm


class Figure(NamedTuple):
    """Hold the DICOM coding of a report's key.

    Attributes:
        key: key of the report, a length without its unit: "mld" stands for "mld_mm", or "mld_px" without spacing.
        name: measured quantity.
        unit: "%" or "length".
        derivation: minimum, median, ...
        method: method of measurement, above all the reference diameter.
        position: position along the vessel.
        factor: coded number divided by the report's number.
    """

    key: str
    name: CodedTerm
    unit: str
    derivation: CodedTerm | None = None
    method: CodedTerm | None = None
    position: CodedTerm | None = None
    factor: float = 1.0


PERCENT = CodedTerm("%", "UCUM", "Percent")
MILLIMETRE = CodedTerm("mm", "UCUM", "mm")
PIXELS = CodedTerm("{pixels}", "UCUM", "pixels")
MILLIMETRE_PER_PIXEL = CodedTerm("mm/{pixel}", "UCUM", "mm/pixel")
FRENCH = CodedTerm("[Ch]", "UCUM", "french")

LUMEN_DIAMETER_STENOSIS = CodedTerm("408715008", "SCT", "Lumen Diameter Stenosis")
LUMEN_AREA_STENOSIS = CodedTerm("408714007", "SCT", "Lumen Area Stenosis")
LUMEN_DIAMETER = CodedTerm("397413000", "SCT", "Vessel lumen diameter")
LESION_LENGTH = CodedTerm("408716009", "SCT", "Stenotic Lesion Length")
SEGMENT_LENGTH = CodedTerm("122510", "DCM", "Length Luminal Segment")
CERTAINTY = CodedTerm("111012", "DCM", "Certainty of Finding")
#: Positions along the vessel (TID 3218): distances along its midline from the start of its diameter function.
PROXIMAL_BORDER = CodedTerm("122528", "DCM", "Position of Proximal Border")
DISTAL_BORDER = CodedTerm("122529", "DCM", "Position of Distal Border")
SITE_OF_MINIMUM = CodedTerm("122382", "DCM", "Site of Lumen Minimum")
#: Uncertainty of a measurement (TID 310, CID 225).
UPPER_UNCERTAINTY = CodedTerm("371886008", "SCT", "+, range of upper measurement uncertainty")
LOWER_UNCERTAINTY = CodedTerm("371885007", "SCT", "-, range of lower measurement uncertainty")
MINIMUM = CodedTerm("255605001", "SCT", "Minimum")
MEDIAN = CodedTerm("373099004", "SCT", "Median")
MEAN = CodedTerm("373098007", "SCT", "Mean")
MAXIMUM = CodedTerm("56851009", "SCT", "Maximum")
INTERPOLATED = CodedTerm("122490", "DCM", "Interpolated Local Reference")  # CID 3465, PS3.17 T.4.2
AVERAGED = CodedTerm("122491", "DCM", "Mean Local Reference")  # PS3.17 T.4.3
CIRCULAR = CodedTerm("122473", "DCM", "Circular method")  # CID 3470
PROXIMAL = CodedTerm("122380", "DCM", "Proximal Reference")  # CID 3486
DISTAL = CodedTerm("122381", "DCM", "Distal Reference")
HORIZONTAL_SPACING = CodedTerm("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_SPACING = CodedTerm("111066", "DCM", "Vertical Pixel Spacing")
CALIBRATION_OBJECT_SIZE = CodedTerm("122423", "DCM", "Calibration Object Size")
CALIBRATION_UNCERTAINTY = CodedTerm("113763", "DCM", "Calibration Uncertainty")

_NARROWING = (
    Figure("percent_diameter_stenosis", LUMEN_DIAMETER_STENOSIS, "%", method=INTERPOLATED),
    Figure("percent_diameter_stenosis_averaged_reference", LUMEN_DIAMETER_STENOSIS, "%", method=AVERAGED),
    Figure("percent_area_stenosis", LUMEN_AREA_STENOSIS, "%", method=CIRCULAR),
    Figure("mld", LUMEN_DIAMETER, "length", derivation=MINIMUM),
    Figure("rvd", LUMEN_DIAMETER, "length", method=INTERPOLATED),
    Figure("averaged_rvd", LUMEN_DIAMETER, "length", method=AVERAGED),
    Figure("proximal_border_position", PROXIMAL_BORDER, "length"),
    Figure("mld_position", SITE_OF_MINIMUM, "length"),
    Figure("distal_border_position", DISTAL_BORDER, "length"),
)
LESION_FIGURES = (
    *_NARROWING,
    Figure("length", LESION_LENGTH, "length"),
    Figure("proximal_reference", LUMEN_DIAMETER, "length", derivation=MEAN, position=PROXIMAL),
    Figure("distal_reference", LUMEN_DIAMETER, "length", derivation=MEAN, position=DISTAL),
    Figure("score", CERTAINTY, "%", factor=100.0),
)
SEGMENT_FIGURES = (
    Figure("length", SEGMENT_LENGTH, "length"),
    *_NARROWING,
    Figure("proximal_diameter", LUMEN_DIAMETER, "length", method=INTERPOLATED, position=PROXIMAL),
    Figure("distal_diameter", LUMEN_DIAMETER, "length", method=INTERPOLATED, position=DISTAL),
    Figure("minimum_diameter", LUMEN_DIAMETER, "length", derivation=MINIMUM),
    Figure("median_diameter", LUMEN_DIAMETER, "length", derivation=MEDIAN),
    Figure("maximum_diameter", LUMEN_DIAMETER, "length", derivation=MAXIMUM),
)


class Value(NamedTuple):
    """Hold a figure's number, its UCUM unit, and the interval in which it lies, where the report has one."""

    figure: Figure
    number: float
    unit: CodedTerm
    interval: tuple[float, float] | None = None


def values_of(row: Mapping[str, Any], figures: Sequence[Figure]) -> list[Value]:
    """Return the figures of a report's row, lengths in mm where known, else in pixels.

    Only rows with "reference_method": "interpolated" name the reference as the method; figures without a reference
    line (those of a network) get no method.

    Raises:
        ValueError: a figure is no finite number.

    Example:
        >>> [(v.figure.key, v.number, v.unit.value) for v in values_of({"mld_px": 4.2}, LESION_FIGURES)]
        [('mld', 4.2, '{pixels}')]
    """
    found = []
    for figure in figures:
        units = {"": PERCENT} if figure.unit == "%" else {"_mm": MILLIMETRE, "_px": PIXELS}
        if figure.method is INTERPOLATED and row.get("reference_method") != "interpolated":
            figure = figure._replace(method=None)
        for suffix, unit in units.items():
            key = figure.key + suffix
            if row.get(key) is None:
                continue
            interval = row.get(f"{key}_interval")
            numbers = [_finite(key, one) * figure.factor for one in (row[key], *(interval or ()))]
            found.append(Value(figure, numbers[0], unit, (numbers[1], numbers[2]) if interval else None))
            break
    return found


def _finite(key: str, number: Any) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise ValueError(f"expected a finite number for {key}, found {number!r}")
    return float(number)
