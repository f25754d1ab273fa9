"""From one angiogram to everything the stages say of it: the one entry for bundles, command line and servers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.transforms import Activationsd, Compose, Invertd
from PIL import Image

from . import __version__
from .networks import AdaptedSegmenter
from .qca import diameter_profile, summarise_tree
from .report import write_index, write_report
from .stages import SHIPPED, load_stage
from .transforms import (
    Angiogram,
    GreyToThreeChannelsd,
    NormalizeForEncoderd,
    ResizeLongestSided,
    ViewToTensord,
    is_image_name,
    read_angiogram,
)
from .vessel_tree import build_vessel_tree

THRESHOLD = 0.5


@dataclass(frozen=True)
class CoronaryResult:
    """What the stages found in one angiogram, all at its own size.

    Attributes:
        angiogram: what was read.
        probability: (H, W) float32, of being vessel.
        vessels: (H, W) bool.
        profiles: diameters along each branch of the vessel tree.
        report: the same in plain numbers, as ``report.json`` holds it.
    """

    angiogram: Angiogram
    probability: np.ndarray
    vessels: np.ndarray
    profiles: tuple[Any, ...]
    report: dict[str, Any]


class CoronaryPipeline:
    """Find the vessel tree of an angiogram and measure diameters along it.

    Args:
        vessels: stage 1: a folder that :func:`monai_lora_sam.stages.save_stage` wrote, or the network itself;
            by default the one that comes with the package.
        inference: ``"whole"`` scales the image into the encoder's square; ``"tiled"`` runs windows of that size
            over the image at its own scale and blends them, for images much larger than the encoder's.
        device: where the network runs; by default CUDA if there is any.
        pretrained: where the base's weights are; True for their usual place.

    Example:
        >>> result = CoronaryPipeline()("angiogram.png")  # doctest: +SKIP
        >>> result.vessels.shape, result.report["vessels"]["centreline_length_px"]  # doctest: +SKIP
    """

    def __init__(
        self,
        vessels: str | Path | AdaptedSegmenter = SHIPPED / "vessels",
        inference: Literal["whole", "tiled"] = "whole",
        device: str | torch.device | None = None,
        pretrained: bool | str | Path = True,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network = (
            vessels if isinstance(vessels, AdaptedSegmenter) else load_stage(vessels, pretrained=pretrained)
        )
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()
        encoder = network.stack.encoder
        size = encoder.image_size
        if inference not in ("whole", "tiled"):
            raise ValueError(f"inference: expected 'whole' or 'tiled', found {inference!r}")
        whole = inference == "whole"
        self.inferer = (
            SimpleInferer() if whole else SlidingWindowInferer((size, size), 1, 0.5, mode="gaussian")
        )
        self.preprocessing = Compose(
            [
                *([ResizeLongestSided(keys="image", size=size)] if whole else []),
                GreyToThreeChannelsd(keys="image"),
                NormalizeForEncoderd(keys="image", encoder=encoder),
                ViewToTensord(keys="view"),
            ]
        )
        back = Invertd(keys="pred", transform=self.preprocessing, orig_keys="image", nearest_interp=False)
        self.postprocessing = Compose([Activationsd(keys="pred", sigmoid=True), *([back] if whole else [])])

    def __call__(self, image: str | Path | Angiogram) -> CoronaryResult:
        """Analyse one angiogram.

        Args:
            image: a file (PNG, JPEG, TIFF, NIfTI, single-frame DICOM), or what was read from one.

        Raises:
            ValueError: if the file is empty, damaged, or not a single frame; the file is named.
        """
        watch = _Stopwatch()
        angiogram = image if isinstance(image, Angiogram) else read_angiogram(image)
        watch.lap("read")
        probability = self.probability(angiogram)
        vessels = probability >= THRESHOLD
        watch.lap("vessels")
        tree = build_vessel_tree(vessels)
        profiles = tuple(diameter_profile(b, probability, angiogram.pixel_spacing_mm) for b in tree.branches)
        summary = {"threshold": THRESHOLD, **summarise_tree(tree, profiles)}
        watch.lap("diameters")
        report = self._report(angiogram, summary, watch.seconds)
        return CoronaryResult(angiogram, probability, vessels, profiles, report)

    def probability(self, angiogram: Angiogram) -> np.ndarray:
        """Return the vessel probability of each pixel, (H, W) float32."""
        item = self.preprocessing({"image": MetaTensor(angiogram.pixels[None]), "view": angiogram.view})
        image, view = item["image"][None].to(self.device), item["view"][None].to(self.device)
        with torch.inference_mode():
            logits = self.inferer(image.as_tensor(), self.network, view=view)
        prediction = self.postprocessing({"image": item["image"], "pred": MetaTensor(logits[0].cpu())})[
            "pred"
        ]
        return prediction[0].numpy().clip(0.0, 1.0)

    def _report(
        self, angiogram: Angiogram, vessels: dict[str, Any], seconds: dict[str, float]
    ) -> dict[str, Any]:
        height, width = angiogram.pixels.shape
        view = angiogram.view
        stack = self.network.stack
        card = stack.skill(self.network.name).card
        warnings = []
        if angiogram.pixel_spacing_mm is None:
            warnings.append("The file gives no pixel spacing: diameters and lengths are in pixels.")
        if not vessels["area_px"]:
            warnings.append("No vessel was found.")
        return {
            "schema": "monai-lora-sam/report/1",
            "image": {
                "file": angiogram.path.name,
                "height": height,
                "width": width,
                "pixel_spacing_mm": angiogram.pixel_spacing_mm,
                "view": None if view is None else {"primary_deg": view[0], "secondary_deg": view[1]},
            },
            "stages": [
                {
                    "stage": "vessels",
                    "adapter": self.network.name,
                    "version": card.get("version", "unsaved"),
                    "strategy": self.network.strategy,
                    "encoder": stack.encoder.name,
                    "fingerprint": card.get("fingerprint"),
                }
            ],
            "vessels": vessels,
            "timings_s": seconds,
            "warnings": warnings,
            "software": {
                "monai-lora-sam": __version__,
                **{package: version(package) for package in ("monai", "torch", "transformers", "peft")},
            },
        }


def run_files(
    inputs: Sequence[str | Path],
    out: str | Path,
    pipeline: CoronaryPipeline | None = None,
    done: Callable[[Path, str | None], None] | None = None,
) -> list[tuple[Path, str | None]]:
    """Analyse files and folders of files, and write a folder for each image.

    A bad file does not stop the others: its error is kept, shown in ``out/index.html`` and returned.

    Args:
        inputs: image files, or folders that are searched for images.
        out: gets ``<stem>/`` for each image with ``vessels.png`` (0/255), ``probability.npz``, ``report.json``,
            ``overlay.png`` and ``report.html``, and an ``index.html`` over all.
        pipeline: by default the one with the shipped weights.
        done: called after each image with its path and its error, if any.

    Returns:
        Each image with None, or with what was wrong.

    Raises:
        FileNotFoundError: if an input does not exist or nothing was found in it.
    """
    jobs = find_images(inputs)
    out = Path(out)
    pipeline = pipeline or CoronaryPipeline()
    outcomes: list[tuple[Path, str | None]] = []
    finished: list[Path] = []
    failures: dict[str, str] = {}  # by the name of the result's folder, which no other image has
    for path, name in jobs:
        error = None
        try:
            write_result(pipeline(path), out / name)
            finished.append(out / name)
        except Exception as problem:  # one bad file among many; nothing is swallowed, all of it is reported
            error = failures[name] = f"{type(problem).__name__}: {problem}"
        outcomes.append((path, error))
        if done is not None:
            done(path, error)
    write_index(out, finished, failures)
    return outcomes


def write_result(result: CoronaryResult, folder: str | Path) -> None:
    """Write masks, probabilities, pictures and report of one angiogram into a folder."""
    folder = Path(folder)
    write_report(folder, result.report, result.angiogram.pixels, result.vessels, result.probability)
    with _replacing(folder / "vessels.png") as temporary:
        Image.fromarray(result.vessels.astype(np.uint8) * 255).save(temporary)
    with _replacing(folder / "probability.npz") as temporary:
        np.savez_compressed(temporary, vessels=result.probability)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    yield temporary
    os.replace(temporary, path)


def find_images(inputs: Sequence[str | Path]) -> list[tuple[Path, str]]:
    """List the images in files and folders, each with a name of its own for its results.

    The name is the file's stem; where two would be equal, the rest of the path joins it.

    Raises:
        FileNotFoundError: if an input does not exist or a folder holds no image.
    """
    paths: list[Path] = []
    for given in map(Path, inputs):
        if given.is_dir():
            found = sorted(p for p in given.rglob("*") if p.is_file() and is_image_name(p))
            if not found:
                raise FileNotFoundError(
                    f"{given}: expected images (PNG, JPEG, TIFF, NIfTI, DICOM), found none"
                )
            paths += found
        elif given.is_file():
            paths.append(given)
        else:
            raise FileNotFoundError(f"{given}: expected a file or a folder, found nothing")
    paths = list(dict.fromkeys(p.resolve() for p in paths))
    names: dict[str, Path] = {}
    for path in paths:
        stem = path.name.removesuffix(".gz").rsplit(".", 1)[0] or path.name
        name = stem
        if name in names:
            name = f"{stem}_{path.suffix[1:]}"
        number = 2
        while name in names:
            name = f"{path.parent.name}_{stem}_{number}"
            number += 1
        names[name] = path
    return [(path, name) for name, path in names.items()]


class _Stopwatch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now
