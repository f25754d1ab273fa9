"""Options of a run over many images, and the outcome of each image."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from monai_lora_sam.coronary.pipeline.study import Catheter


@dataclass(frozen=True)
class CaseOutcome:
    """Hold the outcome of one image.

    Attributes:
        path: the image.
        folder: of its results.
        error: the reason why it failed, or None.
        skipped: whether an earlier run had finished it with the same settings.
        seconds: of work on it.
        summary: counts in words, such as "5 segments, 2 lesions".
    """

    path: Path
    folder: Path
    error: str | None = None
    skipped: bool = False
    seconds: float = 0.0
    summary: str = ""


@dataclass(frozen=True)
class RunOptions:
    """Hold how the images of a run are read and written.

    Attributes:
        view, pixel_spacing_mm: of all images, see :meth:`CoronaryPipeline.__call__`.
        frame: of all cines, see :func:`read_case`.
        anonymise: remove patient, study and file names from all results.
        anonymise_key: secret from which the new names are derived; runs with the same key give the same names, so
            that a second run skips finished images. By default a random one.
        catheter: by which the spacing is measured, in a run of one image; of a cine with `frame`.
        again: analyse images that are finished, too.
        confirmed: JSON of lesions that a reader has confirmed; ``index.html`` shows their SYNTAX score.
    """

    view: tuple[float, float] | None = None
    pixel_spacing_mm: float | None = None
    frame: int | None = None
    anonymise: bool = False
    anonymise_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    catheter: Catheter | None = None
    again: bool = False
    confirmed: Path | None = None
