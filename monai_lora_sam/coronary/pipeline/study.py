"""One case: a frame of a file, with the header that its DICOM results refer to."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from pydicom import Dataset

from monai_lora_sam.coronary.dicom import anonymise, rank_frames, write_segmentation, write_structured_report
from monai_lora_sam.coronary.images import Angiogram, implausible_spacing, read_angiogram, read_cine
from monai_lora_sam.coronary.qca import BY_HAND, Calibration, calibrate_by_catheter
from monai_lora_sam.coronary.transforms import ViewToTensord
from monai_lora_sam.images import detect_format

#: Pixels a side of a picture, below which no vessel has a course.
MINIMUM_SIDE = 16
SEGMENTATION, STRUCTURED_REPORT = "segmentation.dcm", "report.dcm"


class Catheter(NamedTuple):
    """Hold the size of a catheter in French and two points in px along the middle of a straight part of it."""

    french: float
    ends_xy: tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Case:
    """Hold one frame to analyse and its source.

    Attributes:
        angiogram: the frame.
        header: the file's data set without pixels; None where it is no DICOM.
        frame_index: of the frame, counted from 0.
        frames: how many the file has.
        reasons: why this frame was chosen, in words.
        calibration: measured in the frame; None where the spacing is the file's.
        catheter_french: size of the catheter by which it was measured.
    """

    angiogram: Angiogram
    header: Dataset | None = None
    frame_index: int = 0
    frames: int = 1
    reasons: tuple[str, ...] = ()
    calibration: Calibration | None = None
    catheter_french: float | None = None

    @property
    def frame_facts(self) -> dict[str, Any]:
        """Entry of the report about the frame; empty for a file of one frame."""
        if self.frames == 1:
            return {}
        facts = {"number": self.frame_index + 1, "of": self.frames, "reasons": list(self.reasons)}
        return {"frame": facts}

    def calibrated(self, catheter: Catheter) -> Case:
        """Return the case with the spacing that a catheter in its frame gives.

        Raises:
            ValueError: if the catheter cannot be measured there; the file is named.
        """
        (x0, y0), (x1, y1) = catheter.ends_xy
        try:
            found = calibrate_by_catheter(self.angiogram.pixels, [(y0, x0), (y1, x1)], catheter.french)
        except ValueError as error:
            raise ValueError(f"{self.angiogram.path}: {error}") from error
        angiogram = replace(
            self.angiogram,
            pixel_spacing_mm=found.pixel_spacing_mm,
            pixel_spacing_source="a catheter of known size, measured in the picture",
        )
        return replace(self, angiogram=angiogram, calibration=found, catheter_french=catheter.french)

    def stated(self, view: tuple[float, float] | None = None, pixel_spacing_mm: float | None = None) -> Case:
        """Return the case with view angles and spacing that the user states, in place of the file's.

        Args:
            view: primary and secondary positioner angle in degrees (DICOM's signs); None keeps the file's.
            pixel_spacing_mm: millimetres per pixel at the patient; None keeps the file's, or the catheter's.

        Raises:
            ValueError: if an angle or the spacing, by whomever it is given, is out of range; the file is named.
        """
        angiogram, calibration = self.angiogram, self.calibration
        try:
            check_stated(view, pixel_spacing_mm)
            if view is not None:
                angiogram = replace(angiogram, view=(float(view[0]), float(view[1])))
            ViewToTensord()({"view": angiogram.view})
            if pixel_spacing_mm is not None:
                angiogram = replace(
                    angiogram, pixel_spacing_mm=float(pixel_spacing_mm), pixel_spacing_source=BY_HAND
                )
                calibration = None
            check_stated(None, angiogram.pixel_spacing_mm)
        except ValueError as error:
            raise ValueError(f"{angiogram.path}: {error}") from error
        return replace(self, angiogram=angiogram, calibration=calibration)

    def anonymised(self, key: bytes, name: str) -> Case:
        """Return the case under another name, without anything in its header that tells whose it is.

        Raises:
            ValueError: if the file says that text is burned into its pixels.
        """
        header = None if self.header is None else anonymise(self.header, key)
        angiogram = replace(
            self.angiogram,
            path=Path(name),
            # Without the file's own description of the calibration, which stands behind a colon.
            pixel_spacing_source=self.angiogram.pixel_spacing_source.partition(": ")[0],
            warnings=tuple(map(without_values, self.angiogram.warnings)),
        )
        return replace(self, header=header, angiogram=angiogram)


def without_values(text: str) -> str:
    """Return a message without the values that it found in a file: any text there may be a name.

    Example:
        >>> without_values("expected numbers in DICOM tag (0018,1510), found 'Doe 30'")
        'expected numbers in DICOM tag (0018,1510), found another'
        >>> without_values("expected a frame from 1 to 6, found frame 9")
        'expected a frame from 1 to 6, found frame 9'
    """
    text = re.sub(r"""'[^']*'|"[^"]*\"""", "…", text)
    return re.sub(
        r", found (?!frame \d+$|nothing|an empty file|[\d.]+ ).*", ", found another", text, flags=re.DOTALL
    )


def check_stated(view: tuple[float, float] | None = None, pixel_spacing_mm: float | None = None) -> None:
    """Refuse view angles and a pixel spacing that a user states and that cannot be.

    Raises:
        ValueError: an angle that is NaN or out of range, or an implausible spacing.
    """
    if view is not None:
        if not all(isfinite(angle) for angle in view):
            raise ValueError(f"view: expected two angles in degrees, found {view[0]:g} and {view[1]:g}")
        ViewToTensord()({"view": view})
    reason = None if pixel_spacing_mm is None else implausible_spacing(pixel_spacing_mm)
    if reason is not None:
        raise ValueError(f"pixel spacing: {reason}")


def content_pseudonym(path: Path, key: bytes) -> str:
    """Return a name for a file that follows from its content and cannot be traced back without the key."""
    digest = hmac.new(key, path.read_bytes(), hashlib.sha256).hexdigest()
    return f"angiogram-{digest[:16].upper()}"


def read_case(path: str | Path, frame: int | None = None) -> Case:
    """Read the frame of a file that is to be analysed.

    Args:
        path: PNG, JPEG, TIFF, NIfTI, or DICOM of one or many frames.
        frame: its number, counted from 1 as viewers do; by default the one that shows most of the vessels with
            the least motion (:func:`monai_lora_sam.coronary.dicom.rank_frames`).

    Raises:
        FileNotFoundError: no such file.
        ValueError: if the file is empty, damaged, no angiogram, smaller than `MINIMUM_SIDE`, or has no such frame; the
            file is named.

    Example:
        >>> case = read_case("study.dcm")  # doctest: +SKIP
        >>> case.frame_index, case.reasons  # doctest: +SKIP
        (31, ('shows 98 % of the vessels of the fullest frame', 'the vessels hardly move'))
    """
    case = _read(Path(path), frame)
    rows, columns = case.angiogram.pixels.shape
    if min(rows, columns) < MINIMUM_SIDE:
        raise ValueError(
            f"{path}: expected at least {MINIMUM_SIDE} pixels a side, found {rows}x{columns} (rows x columns)"
        )
    return case


def _read(path: Path, frame: int | None) -> Case:
    if detect_format(path) != "DICOM":
        if frame not in (None, 1):
            raise ValueError(f"{path}: expected frame 1 of a single picture, found frame {frame}")
        return Case(read_angiogram(path))
    cine = read_cine(path)
    count = len(cine)
    if frame is not None and not 1 <= frame <= count:
        raise ValueError(f"{path}: expected a frame from 1 to {count}, found frame {frame}")
    if frame is not None:
        return Case(cine.angiogram(frame - 1), cine.header, frame - 1, count, ("chosen by hand",))
    best = rank_frames(cine)[0]
    return Case(cine.angiogram(best.index), cine.header, best.index, count, best.reasons)


def can_write_dicom() -> bool:
    """Return whether the package that writes DICOM results is installed."""
    return find_spec("highdicom") is not None


def write_dicom(case: Case, report: dict[str, Any], vessels: Any, segments: Any, folder: Path) -> None:
    """Write the masks as DICOM SEG and the measurements as DICOM SR; say in the report's warnings if one cannot be.

    The libraries raise errors of any type at a source that departs from the standard (a retired object class, missing
    functional groups): masks and report are worth having without them.
    """
    if case.header is None:
        return
    if not can_write_dicom():
        report["warnings"].append(
            'DICOM SEG and SR were not written: highdicom is missing (pip install "highdicom>=0.28" "pydicom>=3.0").'
        )
        return
    header, frame = case.header, case.frame_index
    segmentation = None
    try:
        segmentation = write_segmentation(folder / SEGMENTATION, header, frame, vessels, segments)
    except Exception as error:
        report["warnings"].append(f"DICOM SEG was not written: {_reason(error, case)}.")
    try:
        write_structured_report(folder / STRUCTURED_REPORT, header, frame, report, segmentation)
    except Exception as error:
        report["warnings"].append(f"DICOM SR was not written: {_reason(error, case)}.")


def _reason(error: Exception, case: Case) -> str:
    """Return an error in one line, without the file, which the report names; those of the libraries with their kind."""
    line = (str(error).strip().splitlines() or [""])[-1].rstrip(".").removeprefix(f"{case.angiogram.path}: ")
    if isinstance(error, ValueError):
        return line
    return f"the source departs from the standard ({type(error).__name__}: {line})"
