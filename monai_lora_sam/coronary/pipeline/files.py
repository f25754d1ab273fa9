"""Many angiograms: files and folders in, a folder for each out, going on where a run was stopped."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_lora_sam import __version__
from monai_lora_sam.coronary.pipeline.analysis import CoronaryPipeline, CoronaryResult
from monai_lora_sam.coronary.pipeline.inputs import find_images
from monai_lora_sam.coronary.pipeline.study import (
    Catheter,
    can_write_dicom,
    content_pseudonym,
    read_case,
    write_dicom,
)
from monai_lora_sam.coronary.report import SCHEMA, write_index, write_report
from monai_lora_sam.files import atomic_file

#: What every finished case has; the report is written last.
FINISHED = ("vessels.png", "overlay.png", "report.html", "report.json")


@dataclass(frozen=True)
class CaseOutcome:
    """Say how one image went.

    Attributes:
        path: the image.
        folder: of its results.
        error: what was wrong, or None.
        skipped: whether an earlier run had finished it with the same settings.
        seconds: that it took.
        summary: in words, such as "5 segments, 2 lesions".
    """

    path: Path
    folder: Path
    error: str | None = None
    skipped: bool = False
    seconds: float = 0.0
    summary: str = ""


@dataclass(frozen=True)
class RunOptions:
    """Say how the images of a run are read and what is written of them.

    Attributes:
        view, pixel_spacing_mm: of all images, see :meth:`CoronaryPipeline.__call__`.
        frame: of all cines, see :func:`read_case`.
        anonymise: leave out whose images they are, file names included.
        anonymise_key: secret from which the names instead of theirs follow; runs with the same key give the same
            names, so that a second run can skip what is finished. By default a new one.
        catheter: by which the spacing is measured, in a run of one image; of a cine with `frame`.
        again: analyse images that are finished, too.
    """

    view: tuple[float, float] | None = None
    pixel_spacing_mm: float | None = None
    frame: int | None = None
    anonymise: bool = False
    anonymise_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    catheter: Catheter | None = None
    again: bool = False


def run_files(
    inputs: Sequence[str | Path],
    out: str | Path,
    pipeline: CoronaryPipeline | None = None,
    done: Callable[[CaseOutcome], None] | None = None,
    options: RunOptions | None = None,
) -> list[tuple[Path, str | None]]:
    """Analyse files and folders of files, and write a folder for each image.

    A bad file does not stop the others: its error is kept, shown in ``out/index.html`` and returned. An image
    that an earlier run has finished is skipped, if neither it nor the stages, their settings or this package
    have changed since. Of a folder, DICOM files that are no angiograms are left out and named in ``out/index.html``.

    Args:
        inputs: image files, or folders that are searched for images as :func:`find_images` does.
        out: gets ``<stem>/`` for each image with ``vessels.png`` (0/255), ``segments.png`` (ARCADE category
            ids), ``probability.npz``, ``report.json``, ``overlay.png`` and ``report.html``, for DICOM also
            ``segmentation.dcm`` (SEG) and ``report.dcm`` (SR), and an ``index.html`` over all.
        pipeline: by default the one with the shipped weights.
        done: called after each image.
        options: see :class:`RunOptions`.

    Returns:
        Each image with None, or with what was wrong.

    Raises:
        FileNotFoundError: if an input does not exist or nothing was found in it.
        ValueError: if a catheter is given for several images.
    """
    jobs, skipped = find_images(inputs, out)
    out, options = Path(out), options or RunOptions()
    if options.catheter is not None and len(jobs) > 1:
        raise ValueError(f"expected one image with a catheter's place, found {len(jobs)}")
    pipeline = pipeline or CoronaryPipeline()
    settings = {
        **pipeline.settings,
        "view": list(options.view) if options.view is not None else None,
        "pixel_spacing_mm": options.pixel_spacing_mm,
        "frame": options.frame,
        "anonymise": options.anonymise,
        "catheter": options.catheter,
        "dicom_results": can_write_dicom(),
        "version": __version__,
    }
    outcomes: list[CaseOutcome] = []
    for path, name in jobs:
        outcome = _run_one(path, out, name, pipeline, options, settings)
        outcomes.append(outcome)
        if done is not None:
            done(outcome)
    finished = list(dict.fromkeys(outcome.folder for outcome in outcomes if outcome.error is None))
    # By the name of the result's folder, which no other image has.
    failures = {one.folder.name: f"{one.path.name}: {one.error}" for one in outcomes if one.error is not None}
    if options.anonymise:
        failures = {name: _without_names(error, outcomes) for name, error in failures.items()}
    left_out = [
        (content_pseudonym(path, options.anonymise_key) if options.anonymise else path.name, reason)
        for path, reason in skipped
    ]
    earlier = _finished_earlier(out, {one.folder for one in outcomes}, options.anonymise)
    write_index(out, [*finished, *earlier], failures, left_out)
    return [(outcome.path, outcome.error) for outcome in outcomes]


def _run_one(
    path: Path,
    out: Path,
    name: str,
    pipeline: CoronaryPipeline,
    options: RunOptions,
    settings: dict[str, Any],
) -> CaseOutcome:
    started = time.perf_counter()
    folder = out / name
    try:
        if options.anonymise:
            name = content_pseudonym(path, options.anonymise_key)
            folder = out / name
        run = {**settings, "image": name if options.anonymise else _sha256(path)}
        report = None if options.again or settings["identity"] is None else _finished(folder, run)
        skipped = report is not None
        if report is None:
            case = read_case(path, options.frame)
            if options.catheter is not None:
                if options.frame is None and case.frames > 1:
                    raise ValueError(
                        f"{path}: expected the frame of {case.frames} that shows the catheter, found none"
                    )
                case = case.calibrated(options.catheter)
            if options.anonymise:
                case = case.anonymised(options.anonymise_key, name)
            result = pipeline(case, view=options.view, pixel_spacing_mm=options.pixel_spacing_mm)
            result.report["run"] = run
            write_dicom(case, result.report, result.vessels, result.segments, folder)
            write_result(result, folder)
            report = result.report
        seconds = time.perf_counter() - started
        return CaseOutcome(path, folder, None, skipped, seconds, _summary(report))
    except Exception as problem:  # one bad file among many; nothing is swallowed, all of it is reported
        seconds = time.perf_counter() - started
        # What a user can mend needs no name of a class.
        kind = "" if isinstance(problem, ValueError | OSError) else f"{type(problem).__name__}: "
        return CaseOutcome(path, folder, f"{kind}{problem}".removeprefix(f"{path}: "), seconds=seconds)


def _finished_earlier(out: Path, now: set[Path], anonymous: bool) -> list[Path]:
    """Return the results of other images that earlier runs left; beside anonymous ones only anonymous ones."""
    found = []
    for path in sorted(out.glob("*/report.json")):
        report = _report(path.parent)
        named = report is None or not report.get("run", {}).get("anonymise")
        if report is not None and path.parent not in now and not (anonymous and named):
            found.append(path.parent)
    return found


def _without_names(error: str, outcomes: Sequence[CaseOutcome]) -> str:
    """Replace the paths of images in an error by the names of their results."""
    for outcome in outcomes:
        for name in (str(outcome.path), outcome.path.name):
            error = error.replace(name, outcome.folder.name)
    return error


def _finished(folder: Path, run: dict[str, Any]) -> dict[str, Any] | None:
    """Return the report of a case that was finished with these very settings, or None."""
    report = _report(folder)
    return report if report is not None and report.get("run") == json.loads(json.dumps(run)) else None


def _report(folder: Path) -> dict[str, Any] | None:
    """Return the report of a finished case, or None."""
    if not all((folder / name).is_file() for name in FINISHED):
        return None
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) and report.get("schema") == SCHEMA else None


def _summary(report: dict[str, Any]) -> str:
    counts = {"segment": report.get("segments"), "lesion": report.get("lesions")}
    words = [
        f"{len(rows)} {name}{'' if len(rows) == 1 else 's'}"
        for name, rows in counts.items()
        if rows is not None
    ]
    return ", ".join(words) or f"{len(report['vessels']['branches'])} branches"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_result(result: CoronaryResult, folder: str | Path) -> None:
    """Write masks, probabilities, pictures and report of one angiogram into a folder, the report last."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "vessels.png") as temporary:
        Image.fromarray(result.vessels.astype(np.uint8) * 255).save(temporary)
    with atomic_file(folder / "probability.npz") as temporary:
        np.savez_compressed(temporary, vessels=result.probability)
    if result.segments is not None:
        with atomic_file(folder / "segments.png") as temporary:
            Image.fromarray(result.segments).save(temporary)
    else:
        (folder / "segments.png").unlink(missing_ok=True)  # of an earlier run with more stages
    write_report(
        folder, result.report, result.angiogram.pixels, result.vessels, result.probability, result.segments
    )
