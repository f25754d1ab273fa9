"""The networks of one, two or three stages on one encoder, which runs once for each set of adapters."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.networks import DiameterNetwork, LesionDetector, LumenRefiner
from monai_lora_sam.coronary.stages import (
    SHIPPED,
    SHIPPED_DIAMETER_NETWORK,
    SHIPPED_REFINER,
    load_diameter_network,
    load_lumen_refiner,
)
from monai_lora_sam.networks import AdaptedSegmenter, StageNetwork
from monai_lora_sam.stages import load_stage, read_stage_card

#: Vessel probability from which on a pixel is vessel.
THRESHOLD = 0.5
NAMES = ("vessels", "segments", "stenosis")


def shipped_stages(stages: int = len(NAMES)) -> dict[str, Path]:
    """Return the folders of the first stages, at most `stages`, that come with the package.

    Raises:
        ValueError: if `stages` is not 1, 2 or 3.

    Example:
        >>> list(shipped_stages(1))
        ['vessels']
    """
    if stages not in (1, 2, 3):
        raise ValueError(f"stages: expected 1, 2 or 3, found {stages!r}")
    found = {}
    for name in NAMES[:stages]:
        if not (SHIPPED / name / "card.json").is_file():
            break  # a later stage needs the earlier ones
        found[name] = SHIPPED / name
    return found


def check_task(folder: str | Path, task: str) -> Path:
    """Return the folder of a stage after a check that it was trained for a task.

    Raises:
        ValueError: the folder holds no stage, a damaged one, or one of another task.
    """
    found = read_stage_card(folder).get("task")
    if found != task:
        raise ValueError(f"{folder}: expected a stage of task {task!r}, found one of {found!r}")
    return Path(folder)


@dataclass(frozen=True)
class StageOutputs:
    """Hold the outputs of the networks for a batch; None for a missing stage.

    Attributes:
        vessels: (B, 1, H, W) logits.
        segments: (B, 26, H, W) logits, by ARCADE category id, background first.
        lesions: outputs of :class:`monai_lora_sam.coronary.networks.LesionDetector`.
    """

    vessels: Tensor
    segments: Tensor | None = None
    lesions: dict[str, Tensor] | None = None


class StageNetworks(nn.Module):
    """Run stage 1, stages 1 and 2, or all three, without computing any features twice.

    The features under a set of adapters serve every head that reads them: with LoRA stages the encoder runs
    once for stage 1 (`vessels`), twice for two or three stages (`vessels`, `vessels` + `segments`).

    Args:
        vessels: stage 1.
        segments: stage 2 on the same stack, or None.
        stenosis: stage 3, which reads these very stages, or None.
        refiner: refines stage 1's map at the angiogram's own size, or None. The stages neither call nor read it:
            :class:`monai_lora_sam.coronary.pipeline.CoronaryPipeline` calls it on their outputs.
        diameter_network: reads diameters along a vessel, or None. The stages do not call it either.

    Raises:
        ValueError: if stage 3 is there without stage 2, or stages do not share a stack, or stage 2 has other
            classes.
    """

    def __init__(
        self,
        vessels: AdaptedSegmenter,
        segments: AdaptedSegmenter | None = None,
        stenosis: LesionDetector | None = None,
        refiner: LumenRefiner | None = None,
        diameter_network: DiameterNetwork | None = None,
    ) -> None:
        super().__init__()
        if stenosis is not None and segments is None:
            raise ValueError("stage 3 (stenosis): expected stage 2 (segments) below it, found none")
        later = [network for network in (segments, stenosis) if network is not None]
        if any(network.stack is not vessels.stack for network in later):
            raise ValueError("expected all stages on one adapter stack, found several")
        if stenosis is not None and (stenosis.vessels is not vessels or stenosis.segments is not segments):
            raise ValueError("stage 3 (stenosis): expected it to read the stages given, found others in it")
        if vessels.head.out_channels != 1:
            raise ValueError(f"stage 1: expected 1 logit map, found {vessels.head.out_channels}")
        if segments is not None and segments.head.out_channels != len(ARCADE_CLASS_NAMES):
            raise ValueError(
                f"stage 2: expected {len(ARCADE_CLASS_NAMES)} logit maps, found {segments.head.out_channels}"
            )
        self.vessels, self.segments, self.stenosis = vessels, segments, stenosis
        self.refiner, self.diameter_network = refiner, diameter_network

    @classmethod
    def load(
        cls,
        vessels: str | Path | AdaptedSegmenter,
        segments: str | Path | AdaptedSegmenter | None = None,
        stenosis: str | Path | LesionDetector | None = None,
        pretrained: bool | str | Path = True,
        refiner: bool | str | Path | LumenRefiner | None = None,
        diameter_network: bool | str | Path | DiameterNetwork | None = None,
    ) -> StageNetworks:
        """Load stages from their folders onto one base; networks are taken as they are.

        `refiner` and `diameter_network` are folders that :func:`monai_lora_sam.stages.save_network` wrote, the
        networks themselves, True for the shipped networks, or None or False.

        Raises:
            ValueError: if a folder is damaged, or was trained on another base or on other versions of the
                stages below it; what was expected and what was found are named.
        """
        first: Any = vessels
        second: Any = segments
        third: Any = stenosis
        if isinstance(vessels, (str, Path)):
            first = _expect(AdaptedSegmenter, 1, vessels, load_stage(vessels, pretrained=pretrained))
        if isinstance(segments, (str, Path)):
            second = _expect(AdaptedSegmenter, 2, segments, load_stage(segments, first.stack))
        if isinstance(stenosis, (str, Path)):
            if second is None:
                raise ValueError(f"{stenosis}: expected stage 2 (segments) below stage 3, found none")
            reads = {"vessels": first, "segments": second}
            third = _expect(LesionDetector, 3, stenosis, load_stage(stenosis, reads=reads))
        refiner = SHIPPED_REFINER if refiner is True else refiner
        if isinstance(refiner, (str, Path)):
            refiner = load_lumen_refiner(refiner)
        diameter_network = SHIPPED_DIAMETER_NETWORK if diameter_network is True else diameter_network
        if isinstance(diameter_network, (str, Path)):
            diameter_network = load_diameter_network(diameter_network)
        return cls(first, second, third, refiner or None, diameter_network or None)

    @property
    def stack(self) -> AdapterStack:
        """The encoder with the adapters of all stages."""
        return self.vessels.stack

    @property
    def stages(self) -> dict[str, AdaptedSegmenter | LesionDetector]:
        """The loaded stages, by name."""
        networks = zip(NAMES, (self.vessels, self.segments, self.stenosis), strict=True)
        return {name: network for name, network in networks if network is not None}

    def forward(self, image: Tensor, view: Tensor | None = None) -> StageOutputs:
        """Run all stages on normalised images (B, 3, H, W) with views (B, 2) in degrees, NaN where unknown.

        Images of any size are padded right and below once for all stages; the maps have the size of the images.
        """
        height, width = image.shape[-2:]
        image = self.vessels.pad(image)
        pyramids: dict[tuple[str, ...], list[Tensor]] = {}

        def pyramid(network: AdaptedSegmenter) -> list[Tensor]:
            if network.adapters not in pyramids:
                pyramids[network.adapters] = network.features(image)
            return pyramids[network.adapters]

        vessels = self.vessels.logits(image, pyramid(self.vessels), view=view)
        if self.segments is None:
            return StageOutputs(vessels[..., :height, :width])
        segments = self.segments.logits(image, pyramid(self.segments), view=view)
        lesions = None
        if self.stenosis is not None:
            read = self.stenosis.assemble(
                image, pyramid(self.vessels), vessels, pyramid(self.segments), segments
            )
            lesions = self.stenosis(None, view, features=read)
        return StageOutputs(vessels[..., :height, :width], segments[..., :height, :width], lesions)

    def cards(self) -> list[dict[str, Any]]:
        """Return a row for each stage of a report: adapter, version, strategy, encoder, fingerprint."""
        rows = []
        for name, network in self.stages.items():
            card = self.stack.record(network.name).card
            rows.append(
                {
                    "stage": name,
                    "adapter": network.name,
                    "version": card.get("version", "unsaved"),
                    "strategy": network.strategy,
                    "encoder": self.stack.encoder.name,
                    "fingerprint": card.get("fingerprint"),
                }
            )
        return rows

    def lumen_cards(self) -> dict[str, dict[str, Any] | None]:
        """Return version and fingerprint of refiner and diameter network by their keys in reports, None if absent."""
        return {
            name: None
            if network is None
            else {
                "version": network.card.get("version", "unsaved"),
                "fingerprint": network.card.get("fingerprint"),
            }
            for name, network in (("refiner", self.refiner), ("diameter_network", self.diameter_network))
        }

    def identity(self) -> str | None:
        """Return a SHA-256 over the files of all networks; None if any of them was never saved."""
        files = [self.stack.record(network.name).card.get("files") for network in self.stages.values()]
        files += [
            network.card.get("files")
            for network in (self.refiner, self.diameter_network)
            if network is not None
        ]
        if not all(files):
            return None
        content = json.dumps([self.stack.encoder.fingerprint, *files], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def _expect(
    expected: type[StageNetwork], stage: int, folder: str | Path, network: StageNetwork
) -> StageNetwork:
    """Return the network of a folder; refuse that of another stage, known by its class and its logit maps."""
    if not isinstance(network, expected):
        raise ValueError(
            f"{folder}: stage {stage}: expected a {expected.__name__} ({NAMES[stage - 1]}), found a "
            f"{type(network).__name__} ({network.name!r})"
        )
    maps = {1: 1, 2: len(ARCADE_CLASS_NAMES)}.get(stage)
    if maps is not None and network.head.out_channels != maps:
        raise ValueError(
            f"{folder}: stage {stage}: expected {maps} logit maps ({NAMES[stage - 1]}), found "
            f"{network.head.out_channels} ({network.name!r})"
        )
    return network
