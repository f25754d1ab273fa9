"""Analyse one angiogram: networks, vessel tree, segments, lesions, report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from monai.data import decollate_batch
from monai.inferers import SlidingWindowInferer

from monai_lora_sam.coronary.images import Angiogram
from monai_lora_sam.coronary.networks import DiameterNetwork, LesionDetector, LumenRefiner
from monai_lora_sam.coronary.pipeline.diameter_finder import diameter_finder
from monai_lora_sam.coronary.pipeline.doubts import doubt_about
from monai_lora_sam.coronary.pipeline.inference import (
    LastStage,
    StagesInferer,
    stages_postprocessing,
    stages_preprocessing,
)
from monai_lora_sam.coronary.pipeline.report_rows import (
    add_measurements,
    assemble_report,
    calibration_of,
    lesion_rows,
    proven_estimates,
    segment_rows,
)
from monai_lora_sam.coronary.pipeline.stage_networks import THRESHOLD, StageNetworks, shipped_stages
from monai_lora_sam.coronary.pipeline.study import Case, read_case
from monai_lora_sam.coronary.qca import (
    LumenFinder,
    QcaResult,
    lumen_diameters,
    measure,
    summarise_tree,
)
from monai_lora_sam.coronary.vessel_tree import build_vessel_tree, label_pixels, label_tree, paint_segments
from monai_lora_sam.networks import AdaptedSegmenter, choose_device
from monai_lora_sam.transforms import as_meta_tensor

SCORE_THRESHOLD = 0.3  # of a lesion, where the stage's card names none


@dataclass(frozen=True)
class CoronaryResult:
    """Hold the results of one angiogram, all at its own size.

    Attributes:
        angiogram: the frame that was analysed.
        probability: (H, W) float32, of being vessel.
        vessels: (H, W) bool.
        measurement: diameter functions, segments and stenoses of the quantitative analysis.
        report: the content of ``report.json``.
        segments: (H, W) uint8 ARCADE category ids, 0 where there is none; None without stage 2.
    """

    angiogram: Angiogram
    probability: np.ndarray
    vessels: np.ndarray
    measurement: QcaResult
    report: dict[str, Any]
    segments: np.ndarray | None = None


class CoronaryPipeline:
    """Find the vessels of an angiogram, name their segments, find and measure their stenoses.

    Any subset of the stages runs: 1, 1 and 2, or all three. Without any stage given, those that come with the
    package run.

    Args:
        vessels: stage 1: a folder that :func:`monai_lora_sam.stages.save_stage` wrote, or the network itself.
        segments: stage 2, trained on top of this stage 1, or None to leave it out.
        stenosis: stage 3, trained on top of these stages, or None to leave it out.
        graph: name whole pieces of the vessel tree, so that the anatomy holds; else each pixel by itself.
        inference: ``"whole"`` scales the image into the encoder's square; ``"tiled"`` finds vessels in windows
            of that size at the image's own scale and blends them, for images much larger than the encoder's.
            Segments and lesions need the whole picture either way.
        flip: average the vessel map with that of the mirror image, for twice the time.
        refiner: refines the vessel map at the image's own size. Mask, tree and measurements are taken from the
            refined map, names and lesions from the map of stage 1. A folder that
            :func:`monai_lora_sam.stages.save_network` wrote, the network itself, True for the shipped network, or
            None or False for the map of stage 1 as it is.
        diameter_network: reads the diameters along each vessel in the angiogram: a folder of the same kind, the
            network itself, True for the shipped network, or None or False to fit the shadow of a round lumen.
        score_threshold: lesions below it are left out; by default the threshold on the card of stage 3, or 0.3.
        device: where the networks run; by default CUDA if there is any.
        pretrained: where the base's weights are; True for their usual place.

    Raises:
        ValueError: if stages do not belong together; what was expected and what was found are named.

    Example:
        >>> result = CoronaryPipeline()("angiogram.png")  # doctest: +SKIP
        >>> [lesion["percent_diameter_stenosis"] for lesion in result.report["lesions"]]  # doctest: +SKIP
        [71.2]
    """

    def __init__(
        self,
        vessels: str | Path | AdaptedSegmenter | None = None,
        segments: str | Path | AdaptedSegmenter | None = None,
        stenosis: str | Path | LesionDetector | None = None,
        *,
        graph: bool = True,
        inference: Literal["whole", "tiled"] = "whole",
        flip: bool = False,
        refiner: bool | str | Path | LumenRefiner | None = True,
        diameter_network: bool | str | Path | DiameterNetwork | None = True,
        score_threshold: float | None = None,
        device: str | torch.device | None = None,
        pretrained: bool | str | Path = True,
    ) -> None:
        if inference not in ("whole", "tiled"):
            raise ValueError(f"inference: expected 'whole' or 'tiled', found {inference!r}")
        given = {"vessels": vessels, "segments": segments, "stenosis": stenosis}
        stages = {name: stage for name, stage in given.items() if stage is not None}
        if "vessels" not in stages:
            stages = {**shipped_stages(1 if stages else 3), **stages}
        self.device = choose_device(device)
        networks = StageNetworks.load(
            **stages,  # type: ignore[arg-type]
            pretrained=pretrained,
            refiner=refiner,
            diameter_network=diameter_network,
        )
        self.networks = networks.to(self.device).to(memory_format=torch.channels_last).eval()
        self.graph, self.inference, self.flip = graph, inference, flip
        self.score_threshold = self._score_threshold(score_threshold)
        tiled = inference == "tiled"
        encoder = networks.stack.encoder
        window = (encoder.image_size, encoder.image_size)
        tiles = SlidingWindowInferer(window, 1, 0.5, mode="gaussian") if tiled else None
        self.inferer = StagesInferer(tiles, flip)
        self.preprocessing = stages_preprocessing(encoder, tiled)
        self.postprocessing = stages_postprocessing(
            self.preprocessing, networks.refiner, self.score_threshold, tiled
        )
        #: Keys of an item by the arguments of the inferer besides the image.
        self.extra_inputs = {"view": "view", "picture": "picture"} if tiled else {"view": "view"}

    def _score_threshold(self, given: float | None) -> float:
        if given is None:
            given = self._lesion_card.get("score_threshold")
        given = SCORE_THRESHOLD if given is None else float(given)
        if not 0 <= given <= 1:
            raise ValueError(f"score_threshold: expected 0 to 1, found {given}")
        return given

    @property
    def _lesion_card(self) -> Mapping[str, Any]:
        """The card of stage 3; empty without it."""
        stenosis = self.networks.stenosis
        return {} if stenosis is None else self.networks.stack.record(stenosis.name).card

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that a result depends on besides the image, as JSON holds it."""
        return {
            "stages": list(self.networks.stages),
            "identity": self.networks.identity(),
            "graph": self.graph,
            "inference": self.inference,
            "flip": self.flip,
            "refiner": self.networks.refiner is not None,
            "diameter_network": self.networks.diameter_network is not None,
            "score_threshold": self.score_threshold,
        }

    def __call__(
        self,
        image: str | Path | Angiogram | Case,
        view: tuple[float, float] | None = None,
        pixel_spacing_mm: float | None = None,
    ) -> CoronaryResult:
        """Analyse one angiogram.

        Args:
            image: a file (PNG, JPEG, TIFF, NIfTI, DICOM), or the angiogram or case that was read from
                one. Of a cine the frame is taken that shows most of the vessels with the least motion;
                :func:`read_case` takes another.
            view: primary and secondary positioner angle in degrees (DICOM's signs), for a file that names none
                or wrong ones; it replaces the file's own.
            pixel_spacing_mm: millimetres per pixel at the patient, likewise.

        Raises:
            ValueError: if the file is empty, damaged or no angiogram, or an angle or the spacing is out of range;
                the file is named.
        """
        watch = Stopwatch()
        if isinstance(image, Angiogram):
            image = Case(image)
        case = image if isinstance(image, Case) else read_case(image)
        case = case.stated(view, pixel_spacing_mm)
        watch.lap("read")
        probability, class_probability, detections = self.predict(case.angiogram)
        watch.lap("networks")
        return self.analyse(case, probability, class_probability, detections, watch)

    def analyse(
        self,
        case: Case,
        probability: np.ndarray,
        class_probability: np.ndarray | None = None,
        detections: list[dict[str, Any]] | None = None,
        watch: Stopwatch | None = None,
    ) -> CoronaryResult:
        """Build the vessel tree, name its segments, measure the lesions, and assemble the report.

        Args:
            case: the frame.
            probability, class_probability, detections: as of :meth:`predict`.
            watch: with the seconds that were taken before; they go into the report.

        Raises:
            ValueError: the vessels are wider or more branched than coronary arteries; the file is named.
        """
        watch = watch or Stopwatch()
        angiogram = case.angiogram
        vessels = probability >= THRESHOLD
        spacing = angiogram.pixel_spacing_mm
        known = case.calibration or calibration_of(angiogram)
        try:
            tree = build_vessel_tree(vessels)
        except ValueError as error:
            raise ValueError(f"{angiogram.path}: {error}") from error
        watch.lap("vessels")
        segments = None
        if class_probability is not None:
            segments = (
                paint_segments(label_tree(tree, class_probability, vessels), vessels, class_probability)
                if self.graph
                else label_pixels(class_probability, vessels)
            )
            watch.lap("segments")
        measurement = measure(
            probability,
            image=angiogram.pixels,
            segments=segments,
            pixel_spacing_mm=spacing,
            tree=tree,
            find_lumen=self.lumen_finder(probability),
        )
        report: dict[str, Any] = {
            "vessels": {"threshold": THRESHOLD, **summarise_tree(tree, measurement)},
        }
        if segments is not None:
            report["segments"] = segment_rows(segments, measurement)
        if detections is not None:
            spacing_error = 0.0 if known is None else known.expected_error_percent
            estimates = proven_estimates(self._lesion_card)
            report["lesions"] = lesion_rows(detections, measurement, segments, spacing_error, estimates)
            add_measurements(report.get("segments", ()), measurement, report["lesions"])
        watch.lap("measurement")
        report = assemble_report(angiogram, self.networks, report, watch.seconds, known)
        if case.calibration is not None:
            report["calibration"]["catheter_french"] = case.catheter_french
        report["image"] |= case.frame_facts
        doubt = doubt_about(probability, vessels)
        report["warnings"] = [*([] if doubt is None else [doubt]), *report["warnings"]]
        return CoronaryResult(angiogram, probability, vessels, measurement, report, segments)

    def probability(self, angiogram: Angiogram) -> np.ndarray:
        """Return the vessel probability of each pixel, (H, W) float32, by stage 1 and the refiner."""
        return self._run(angiogram, StageNetworks(self.networks.vessels))["vessels"][0].numpy()

    def lumen_finder(self, probability: np.ndarray) -> LumenFinder:
        """Return the function that `measure` finds the lumen with, for the angiogram of this map (H, W)."""
        network = self.networks.diameter_network
        return lumen_diameters if network is None else diameter_finder(network, probability)

    def predict(
        self, angiogram: Angiogram
    ) -> tuple[np.ndarray, np.ndarray | None, list[dict[str, Any]] | None]:
        """Return vessel probability, segment probabilities (26, H, W) and lesions, at the image's own size."""
        return found_arrays(self._run(angiogram, self.networks))

    def _run(self, angiogram: Angiogram, networks: StageNetworks) -> dict[Any, Any]:
        """Run preprocessing, networks and postprocessing, as MONAI's `SupervisedEvaluator` does."""
        image = as_meta_tensor(angiogram.pixels, str(angiogram.path))
        item = self.preprocessing({"image": image, "view": angiogram.view})
        given = {name: item[key][None].to(self.device) for name, key in self.extra_inputs.items()}
        with torch.inference_mode():
            outputs = self.inferer(item["image"][None].to(self.device), LastStage(networks), **given)
        item["pred"] = decollate_batch(outputs)[0]
        return self.postprocessing(item)


def found_arrays(
    item: Mapping[Any, Any],
) -> tuple[np.ndarray, np.ndarray | None, list[dict[str, Any]] | None]:
    """Return vessel probability (H, W), segment probabilities (26, H, W) and lesions of a postprocessed item."""
    segments = item.get("segments")
    classes = None if segments is None else torch.as_tensor(segments).numpy().clip(0.0, 1.0)
    return torch.as_tensor(item["vessels"])[0].numpy(), classes, item.get("lesions")


class Stopwatch:
    """Keep the seconds between laps, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begun = self._last = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._begun

    def lap(self, name: str) -> None:
        """Add the seconds since the last lap, or since the start, under a name."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now
