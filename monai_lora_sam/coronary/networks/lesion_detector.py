"""Read what two stages see, and find lesions in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from monai.utils import convert_to_tensor
from torch import Tensor, nn

from monai_lora_sam.adapters import AdapterStack, apply_strategy
from monai_lora_sam.coronary.networks.lesion_head import LesionHead
from monai_lora_sam.networks import AdaptedSegmenter, HeadEntry, StageNetwork

#: Image and vessel probability are read at this many samples per cell of the map, along each side. A cell of
#: 3.5 pixels is wider than a narrowed lumen.
DETAIL = 4
STRATEGIES = ("frozen", "full")


class LesionDetector(StageNetwork):
    """Detect stenoses from the features and the outputs of the stages ``vessels`` and ``segments``.

    The two stages share one stack: the encoder runs once under the adapters of each. With ``frozen`` nothing
    below the head has gradients, so that what :meth:`read` gives can be computed once and kept. With ``full``
    the encoder and the adapters move too; the heads of the two stages never do.

    Args:
        vessels: stage 1.
        segments: stage 2, on the same stack.
        head: of ``read_channels(segments)`` channels.
        strategy: ``frozen`` or ``full``.
        name: of this stage.
        mixed_precision: run in bfloat16 autocast. The output is float32 either way.

    Shapes:
        image: (B, 3, H, W), normalised for the encoder, or None where features are given;
        view: (B, 2) degrees, NaN where unknown, or None; features: what :meth:`read` gave for the image;
        boxes: see :class:`LesionHead`, whose dict of tensors is returned.

    Raises:
        ValueError: the stages do not share a stack, the strategy is unknown, or ``full`` meets gradient
            checkpointing, which runs the encoder's blocks again under the adapters of the last pass.
    """

    head_reads_image = False
    roles = ("vessels", "segments")

    def __init__(
        self,
        vessels: AdaptedSegmenter,
        segments: AdaptedSegmenter,
        head: nn.Module,
        strategy: str = "frozen",
        name: str = "stenosis",
        mixed_precision: bool = True,
    ) -> None:
        if vessels.stack is not segments.stack:
            raise ValueError("expected both stages on one stack, found two stacks")
        check_strategy(strategy, vessels.stack)
        adapters = tuple(dict.fromkeys((*vessels.adapters, *segments.adapters)))
        super().__init__(vessels.stack, head, adapters, strategy, name, mixed_precision)
        self.vessels, self.segments = vessels, segments
        self.train(self.training)

    @classmethod
    def new(  # type: ignore[override]
        cls,
        stack: AdapterStack,
        head: type[nn.Module],
        reads: Mapping[str, StageNetwork],
        *,
        strategy: str = "frozen",
        name: str = "stenosis",
        width: int | None = None,
        mixed_precision: bool = True,
    ) -> LesionDetector:
        """Put a fresh head on two stages; arguments as of :func:`build_detector`."""
        vessels, segments = _both(reads)
        encoder = stack.encoder
        fresh = head(
            in_channels=read_channels(segments),
            stride=encoder.strides[0],
            width=width or encoder.channels[0],
            probability_channels=DETAIL**2,
        )
        vessels.requires_grad_(False)
        segments.requires_grad_(False)
        detector = cls(vessels, segments, fresh, strategy, name, mixed_precision)
        stack.activate(*detector.adapters)
        apply_strategy(stack, strategy, name)
        return detector

    @classmethod
    def join(  # type: ignore[override]
        cls,
        stack: AdapterStack,
        head: nn.Module,
        reads: Mapping[str, StageNetwork],
        *,
        adapters: tuple[str, ...],
        strategy: str,
        name: str,
        mixed_precision: bool,
    ) -> LesionDetector:
        """Put a trained head back on the two stages that it was trained on, whose adapters it uses."""
        return cls(*_both(reads), head, strategy, name, mixed_precision)

    @property
    def reads(self) -> dict[str, StageNetwork]:
        """The two stages, by role."""
        return {"vessels": self.vessels, "segments": self.segments}

    def base_parameters(self) -> set[int]:
        """Return the ``id`` of each parameter that trains at the base's rate: those of encoder and adapters."""
        return {id(p) for p in self.stack.parameters()}

    def train(self, mode: bool = True) -> LesionDetector:
        """Set training mode for what trains; the heads of the earlier stages stay in evaluation mode."""
        super().train(mode)
        self.vessels.head.eval()
        self.segments.head.eval()
        return self

    def read(self, image: Tensor, view: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Return all that the head reads of an image, (B, C, h, w) float32 at the finest pyramid level's size.

        An image of any size is padded right and below, so that boxes keep their place.
        The encoder runs twice, under the adapters of each stage. :meth:`assemble` joins features that are there.
        """
        image = self.pad(convert_to_tensor(image, track_meta=False))
        moves = self.strategy == "full" and torch.is_grad_enabled()
        if moves:
            check_strategy(self.strategy, self.stack)
        with torch.set_grad_enabled(moves):
            vessel_features = self.vessels.features(image)
            vessel_logits = self.vessels.logits(image, vessel_features, view=view)
            segment_features = self.segments.features(image)
            segment_logits = self.segments.logits(image, segment_features, view=view)
            return self.assemble(image, vessel_features, vessel_logits, segment_features, segment_logits)

    def assemble(
        self,
        image: Tensor,
        vessel_features: list[Tensor],
        vessel_logits: Tensor,
        segment_features: list[Tensor],
        segment_logits: Tensor,
    ) -> Tensor:
        """Join features and outputs of the two stages into what :meth:`read` returns.

        Channels: finest features under the adapters of ``vessels``, then under those of ``segments``, the
        segments' softmax, the grey image and, last, the vessel's probability. The last two are read at
        ``DETAIL`` times the map's size and folded into channels.
        """
        finest, also = vessel_features[0].float(), segment_features[0].float()
        rows, columns = finest.shape[-2:]
        fine = (rows * DETAIL, columns * DETAIL)
        maps = [
            finest,
            also,
            F.adaptive_avg_pool2d(segment_logits.softmax(dim=1), (rows, columns)),
            _fold(convert_to_tensor(image, track_meta=False).float().mean(1, keepdim=True), fine),
            _fold(vessel_logits.sigmoid(), fine),
        ]
        return torch.cat(maps, dim=1)

    def forward(
        self,
        image: Tensor | None,
        view: Tensor | None = None,
        features: Tensor | None = None,
        boxes: Tensor | None = None,
    ) -> dict[str, Tensor]:
        if features is None:
            if image is None:
                raise ValueError("expected an image or the features that read() gave for it, found neither")
            features = self.read(image, view)
        features = convert_to_tensor(features, track_meta=False).float()
        with self.autocast(features.device):
            return self.head(features, view, boxes)


def _fold(one: Tensor, fine: tuple[int, int]) -> Tensor:
    """Scale a (B, 1, H, W) map to a size and fold blocks of DETAIL² samples into channels."""
    scaled = F.interpolate(one, size=fine, mode="bilinear", align_corners=False, antialias=True)
    return F.pixel_unshuffle(scaled, DETAIL)


def read_channels(segments: AdaptedSegmenter) -> int:
    """Return the number of channels that a detector on these stages reads."""
    return 2 * segments.stack.encoder.channels[0] + segments.head.out_channels + 2 * DETAIL**2


def check_strategy(strategy: str, stack: AdapterStack) -> None:
    """Raise a ``ValueError`` if a detector cannot be trained by this strategy on this stack."""
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy: expected one of {list(STRATEGIES)}, found {strategy!r}")
    if strategy == "full" and stack.encoder.gradient_checkpointing:
        raise ValueError(
            "strategy 'full': expected gradient_checkpointing off, found it on: it would run the blocks of the "
            "first encoder pass again under the adapters of the second"
        )


def _both(reads: Mapping[str, StageNetwork]) -> tuple[AdaptedSegmenter, AdaptedSegmenter]:
    found = [reads.get(role) for role in LesionDetector.roles]
    if len(reads) != len(found) or not all(isinstance(network, AdaptedSegmenter) for network in found):
        raise ValueError(f"expected the stages {list(LesionDetector.roles)} to read, found {sorted(reads)}")
    return cast(tuple[AdaptedSegmenter, AdaptedSegmenter], tuple(found))


def build_detector(vessels: AdaptedSegmenter, segments: AdaptedSegmenter, **arguments: Any) -> LesionDetector:
    """Put a fresh lesion head on two stages.

    Args:
        vessels, segments: the stages, on one stack.
        strategy: what trains besides the head: ``frozen`` (nothing) or ``full`` (the encoder and the
            adapters of both stages).
        name: of the stage.
        width: channels of the head; by default the finest level's.
        mixed_precision: see :class:`LesionDetector`.

    Example:
        >>> detector = build_detector(vessels, segments)  # doctest: +SKIP
        >>> detector(torch.rand(1, 3, 336, 336))["boxes"].shape  # doctest: +SKIP
        torch.Size([1, 20, 4])
    """
    reads = {"vessels": vessels, "segments": segments}
    return LesionDetector.new(vessels.stack, LesionHead, reads, **arguments)


#: The entry of the lesion head.
LESIONS = HeadEntry(LesionHead, LesionDetector, old_card=lambda head: "in_channels" in head)
