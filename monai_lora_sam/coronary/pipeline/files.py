"""Analyse files and folders of angiograms, write a folder of results for each, skip finished ones."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from monai.engines import Evaluator
from PIL import Image

from monai_lora_sam import __version__
from monai_lora_sam.coronary.pipeline.analysis import (
    CoronaryPipeline,
    CoronaryResult,
    Stopwatch,
    found_arrays,
)
from monai_lora_sam.coronary.pipeline.inputs import FoundImages, find_images
from monai_lora_sam.coronary.pipeline.result_folder import (
    REPORT,
    ResultFolders,
    file_hashes,
    folder_name,
    keep_other_files,
    sha256,
    whole_report,
)
from monai_lora_sam.coronary.pipeline.run_options import CaseOutcome, RunOptions
from monai_lora_sam.coronary.pipeline.study import (
    Case,
    can_write_dicom,
    content_pseudonym,
    read_case,
    without_values,
    write_dicom,
)
from monai_lora_sam.coronary.qca import score_confirmed
from monai_lora_sam.coronary.report import write_index, write_report, write_tables
from monai_lora_sam.files import atomic_file, atomic_folder, atomic_write, check_output_folder, printable


def run_files(
    inputs: Sequence[str | Path],
    out: str | Path,
    pipeline: CoronaryPipeline | None = None,
    done: Callable[[CaseOutcome], None] | None = None,
    options: RunOptions | None = None,
) -> list[tuple[Path, str | None]]:
    """Analyse files and folders of files, and write a folder for each image.

    A bad file does not stop the others: its error is kept, shown in ``out/index.html`` and returned. An image
    that an earlier run has finished is skipped, if neither it nor its results, the stages, their settings or this
    package have changed since. The results of an image are written as a whole and never over those of another.
    Files of a folder that are no angiograms are left out and named in ``out/index.html``.

    Args:
        inputs: image files, or folders that are searched for images as :func:`find_images` does.
        out: gets a folder for each image, named after it, with ``vessels.png`` (0/255), ``segments.png`` (ARCADE
            category ids), ``probability.npz``, ``report.json``, ``overlay.png`` and ``report.html``, for DICOM also
            ``segmentation.dcm`` (SEG) and ``report.dcm`` (SR), and over all images ``index.html``, ``images.csv`` and
            ``lesions.csv``.
        pipeline: by default the one with the shipped weights.
        done: called after each image.
        options: see :class:`RunOptions`.

    Returns:
        Each image with None, or with its error.

    Raises:
        FileNotFoundError: if an input does not exist or nothing was found in it.
        ValueError: if a catheter is given for several images, or another run writes into `out`.
        OSError: if `out` cannot be written to.
    """
    check_output_folder(out)
    run = AngiogramRun(inputs, out, pipeline or CoronaryPipeline(), options, done)
    with run.alone():
        for item in run:
            try:
                run.write(run.pipeline(run.read(item["image"])))
            except (
                Exception
            ) as problem:  # one bad file among many; nothing is swallowed, all of it is reported
                run.fail(problem)
        return run.finish()


class AngiogramRun:
    """Hold the images of a run that are left, and the outcome of each that is done.

    Iterating yields ``{"image": path}`` for each image that is not finished, so that a run is the `data` of MONAI's
    `IterableDataset`. Each image is iterated over once: after an error the next iterator goes on behind it.

    Args:
        inputs, out, done, options: as of :func:`run_files`. Files and folders are looked for when they are needed.
        pipeline: analyses the networks' outputs.

    Example:
        >>> run = AngiogramRun(["study/"], "results", pipeline)  # doctest: +SKIP
        >>> dataset = monai.data.IterableDataset(run, preprocessing)  # doctest: +SKIP
        >>> run.evaluate(evaluator)  # doctest: +SKIP
        [(PosixPath('study/1.png'), None), (PosixPath('study/2.png'), 'expected a readable PNG, found ...')]
    """

    def __init__(
        self,
        inputs: Sequence[str | Path],
        out: str | Path,
        pipeline: CoronaryPipeline,
        options: RunOptions | None = None,
        done: Callable[[CaseOutcome], None] | None = None,
    ) -> None:
        self.inputs, self.out, self.pipeline = inputs, Path(out), pipeline
        self.options, self.done = options or RunOptions(), done
        self.outcomes: list[CaseOutcome] = []
        self._started = 0  # images that were begun
        self._name = ""  # of the results of the image at work
        self._made_with: dict[str, Any] = {}  # image, stages and settings, as the report has them
        self._case: Case | None = None
        self._watch = Stopwatch()
        self._folders = ResultFolders(self.out)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out of the folder of results.

        Raises:
            ValueError: if another run writes into it.
            OSError: if it cannot be written to.
        """
        check_output_folder(self.out)
        self.out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.out / ".run.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(
                f"{self.out}: expected no other run to write into this folder, found one at work"
            ) from None
        try:
            yield
        finally:
            lock.release()

    @cached_property
    def found(self) -> FoundImages:
        """The images of the run.

        Raises:
            FileNotFoundError: if an input does not exist or nothing was found in it.
            ValueError: if a catheter is given for several images.
        """
        found = find_images(self.inputs, self.out)
        if self.options.catheter is not None and len(found.images) > 1:
            raise ValueError(f"expected one image with a catheter, found {len(found.images)}")
        return found

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that a result depends on besides the image."""
        options = self.options
        return {
            **self.pipeline.settings,
            "view": list(options.view) if options.view is not None else None,
            "pixel_spacing_mm": options.pixel_spacing_mm,
            "frame": options.frame,
            "anonymise": options.anonymise,
            "catheter": options.catheter,
            "dicom_results": can_write_dicom(),
            "version": __version__,
        }

    def __iter__(self) -> Iterator[dict[str, str]]:
        while self._started < len(self.found.images):
            path = self.found.images[self._started]
            self._name = ""
            self._started += 1
            self._watch = Stopwatch()
            try:
                report = self._finished_report(path)
            except Exception as problem:  # of this image alone
                self.fail(problem)
                continue
            if report is None:
                yield {"image": str(path)}
            else:
                self._add(skipped=True, summary=_summary(report))

    def read(self, path: str | Path) -> Case:
        """Read the frame of an image that is to be analysed, as the options say.

        Raises:
            ValueError: see :func:`read_case`, :meth:`Case.calibrated`, :meth:`Case.stated`.
        """
        options = self.options
        case = read_case(path, options.frame)
        if options.catheter is not None:
            if options.frame is None and case.frames > 1:
                raise ValueError(
                    f"{path}: expected the frame of {case.frames} that shows the catheter, found none"
                )
            case = case.calibrated(options.catheter)
        case = case.stated(options.view, options.pixel_spacing_mm)
        if options.anonymise:
            name = content_pseudonym(Path(path), options.anonymise_key)
            case = case.anonymised(options.anonymise_key, name)
        self._watch.lap("read")
        self._case = case
        return case

    def write_found(self, item: Mapping[Any, Any]) -> None:
        """Analyse the networks' outputs for the image that was read last, and write its results.

        Args:
            item: with `vessels` (1, H, W) and, of later stages, `segments` (26, H, W) and `lesions`, as
                :func:`stages_postprocessing` returns them.
        """
        assert self._case is not None, "read comes before"
        self._watch.lap("networks")
        self.write(self.pipeline.analyse(self._case, *found_arrays(item), self._watch))

    def write(self, result: CoronaryResult) -> None:
        """Write the results of the image that was read last."""
        assert self._case is not None, "read comes before"
        result.report["run"] = {**self._made_with}
        folder = self.out / self._name
        with atomic_folder(folder) as fresh:
            write_dicom(self._case, result.report, result.vessels, result.segments, fresh)
            write_result(result, fresh)
            result.report["run"]["files"] = file_hashes(fresh)
            atomic_write(
                fresh / REPORT, json.dumps(result.report, indent=1, allow_nan=False, ensure_ascii=False)
            )
            keep_other_files(folder, fresh)
        self._add(summary=_summary(result.report))

    def fail(self, problem: Exception) -> None:
        """Note the error of the image at work."""
        path = self.found.images[self._started - 1]
        while isinstance(problem, RuntimeError) and isinstance(problem.__cause__, Exception):
            problem = problem.__cause__  # MONAI says which transform was at work
        # An error that a user can mend needs no name of a class.
        kind = "" if isinstance(problem, ValueError | OSError) else f"{type(problem).__name__}: "
        self._add(error=f"{kind}{problem}".removeprefix(f"{path}: "))

    def evaluate(self, evaluator: Evaluator) -> list[tuple[Path, str | None]]:
        """Run an evaluator over all images, going on behind each that fails, and finish.

        The evaluator's data are this run's, and among its handlers is a :class:`WriteResults`, which notes errors.

        Returns:
            Each image with None, or with its error.
        """
        evaluator.logger.setLevel(logging.CRITICAL)  # errors are kept and listed here
        logging.getLogger("DataStats").setLevel(logging.CRITICAL)
        with self.alone():
            while self._started < len(self.found.images):
                evaluator.run()  # ends where an image fails
            return self.finish()

    def finish(self) -> list[tuple[Path, str | None]]:
        """Write ``index.html`` over all results, and return each image with None or its error."""
        options, outcomes = self.options, self.outcomes
        finished = list(dict.fromkeys(outcome.folder for outcome in outcomes if outcome.error is None))
        failures = [
            (self._shown(outcome.path), outcome.error) for outcome in outcomes if outcome.error is not None
        ]
        if options.anonymise:
            failures = [(name, without_values(_without_names(error, outcomes))) for name, error in failures]
        left_out = [(self._shown(path), reason) for path, reason in self.found.skipped]
        earlier = _finished_earlier(self.out, {one.folder for one in outcomes}, options.anonymise)
        confirmed = options.confirmed and score_confirmed(options.confirmed).to_json()
        write_tables(self.out, [*finished, *earlier], failures)
        write_index(self.out, [*finished, *earlier], failures, left_out, confirmed or None)
        return [(outcome.path, outcome.error) for outcome in outcomes]

    def _finished_report(self, path: Path) -> dict[str, Any] | None:
        """Return the report of an image that an earlier run finished with these very settings, or None."""
        content = sha256(path)
        if self.options.anonymise:
            self._name = self._folders.take(content_pseudonym(path, self.options.anonymise_key))
            self._made_with = {**self.settings, "image": self._name}
        else:
            self._name = self._folders.claim(path, content)
            self._made_with = {**self.settings, "image": content, "source": printable(path)}
        if self.options.again or self.settings["identity"] is None:
            return None
        report = whole_report(self.out / self._name)
        made_with = {key: value for key, value in report["run"].items() if key != "files"} if report else None
        return report if made_with == json.loads(json.dumps(self._made_with)) else None

    def _shown(self, path: Path) -> str:
        """Return the name under which a file is listed."""
        if not self.options.anonymise:
            return printable(path.name)
        try:
            return content_pseudonym(path, self.options.anonymise_key)
        except OSError:
            return "a file that cannot be read"

    def _add(self, error: str | None = None, skipped: bool = False, summary: str = "") -> None:
        path = self.found.images[self._started - 1]
        nameless = "unreadable" if self.options.anonymise else folder_name(path.name)
        outcome = CaseOutcome(
            path,
            self.out / (self._name or nameless),
            error,
            skipped,
            self._watch.total,
            summary,
        )
        self.outcomes.append(outcome)
        if self.done is not None:
            self.done(outcome)


def _finished_earlier(out: Path, now: set[Path], anonymous: bool) -> list[Path]:
    """Return the results of other images that earlier runs left; beside anonymous ones only anonymous ones."""
    found = []
    for path in sorted(out.glob(f"*/{REPORT}")):
        report = whole_report(path.parent)
        named = report is None or not report["run"].get("anonymise")
        if report is not None and path.parent not in now and not (anonymous and named):
            found.append(path.parent)
    return found


def _without_names(error: str, outcomes: Sequence[CaseOutcome]) -> str:
    """Replace the paths of images in an error by the names of their results."""
    for outcome in outcomes:
        for name in (str(outcome.path), outcome.path.name):
            error = error.replace(name, outcome.folder.name)
    return error


def _summary(report: dict[str, Any]) -> str:
    counts = {"segment": report.get("segments"), "lesion": report.get("lesions")}
    words = [
        f"{len(rows)} {name}{'' if len(rows) == 1 else 's'}"
        for name, rows in counts.items()
        if rows is not None
    ]
    return ", ".join(words) or f"{len(report['vessels']['branches'])} branches"


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
