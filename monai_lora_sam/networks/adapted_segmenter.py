"""An encoder with adapters, and a segmentation head on it."""

from __future__ import annotations

from typing import Any

import torch
from monai.utils import convert_to_tensor
from torch import Tensor, nn

from ..adapters import AdapterStack, apply_strategy
from ..encoders import ImageEncoder
from .segmentation_head import SegmentationHead
from .trainable_state import TrainableState


class AdaptedSegmenter(nn.Module):
    """Segment an image: logits at the size of the image it is given.

    Runs as it is inside MONAI's ``SupervisedTrainer`` and ``sliding_window_inference``. Several networks may
    share one stack: each switches its own adapters on when it runs.

    Args:
        stack: encoder with adapters.
        head: what turns its features into logits.
        adapters: names of the adapters that are summed for this network; none for the bare encoder.
        strategy: how it was or is trained, for the card.
        name: of this stage, and of its adapter where it has one.
        mixed_precision: run in bfloat16 autocast, on CPU as on CUDA. bfloat16 has float32's range, so no
            gradient scaler is needed. The logits are float32 either way.

    Shapes:
        image: (B, 3, H, W), normalised for the encoder; view: (B, 2) degrees or None, where a row of NaN is
        an unknown view; features: what :meth:`features` gave for these images, so that the encoder need not
        run again. Returns (B, out_channels, H, W).

    Raises:
        ValueError: if H or W is no multiple of the encoder's patch (the nearest sizes are named).
    """

    def __init__(
        self,
        stack: AdapterStack,
        head: SegmentationHead,
        adapters: tuple[str, ...] = (),
        strategy: str = "frozen",
        name: str = "vessels",
        mixed_precision: bool = True,
    ) -> None:
        super().__init__()
        self.stack = stack
        self.head = head
        self.adapters = tuple(adapters)
        self.strategy = strategy
        self.name = name
        self.mixed_precision = mixed_precision

    @property
    def trainable(self) -> TrainableState:
        """The parameters that train, as a checkpoint wants them."""
        return TrainableState(self)

    def parameter_groups(self, learning_rate: float, base_learning_rate: float) -> list[dict[str, Any]]:
        """Return what trains for an optimiser: adapter and head at one rate, the base's own at another."""
        base = {id(p) for name, p in self.stack.named_parameters() if "lora_" not in name}
        trained = [p for p in self.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if id(p) not in base], "lr": learning_rate},
            {"params": [p for p in trained if id(p) in base], "lr": base_learning_rate},
        ]
        return [group for group in groups if group["params"]]

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's pyramid under this network's adapters, finest first."""
        # Not a context: gradient checkpointing runs blocks again in the backward pass, with what is active then.
        if tuple(self.stack.active) != self.adapters:
            self.stack.activate(*self.adapters)
        image = convert_to_tensor(image, track_meta=False)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.mixed_precision):
            return self.stack(image)

    def forward(
        self, image: Tensor, view: Tensor | None = None, features: list[Tensor] | None = None
    ) -> Tensor:
        # MetaTensor follows every operation in Python: an order of magnitude slower on small networks.
        image = convert_to_tensor(image, track_meta=False)
        if features is None:
            features = self.features(image)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.mixed_precision):
            logits = self.head(features, image, view)
        return logits.float()


def build_segmenter(
    encoder: ImageEncoder | AdapterStack,
    out_channels: int = 1,
    name: str = "vessels",
    strategy: str = "lora",
    width: int | None = None,
    last_n: int = 2,
    lora: dict[str, Any] | None = None,
    mixed_precision: bool = True,
) -> AdaptedSegmenter:
    """Put a new stage on an encoder: adapter or other strategy, and a fresh head.

    Args:
        encoder: what :func:`monai_lora_sam.encoders.build_encoder` returns, or a stack that already carries
            the adapters of earlier stages; those stay frozen and active.
        out_channels: number of logit maps; 1 for a vessel mask.
        name: of the stage and of its adapter.
        strategy: what trains besides the head: ``lora`` (the adapter), ``frozen`` (nothing), ``last_n`` (the
            last blocks of the encoder) or ``full`` (all of it).
        width: channels of the head, see :class:`SegmentationHead`.
        last_n: how many blocks ``last_n`` unfreezes.
        lora: arguments of ``AdapterStack.add``: ``r``, ``alpha``, ``targets``, ``dropout``, ``layers``.
        mixed_precision: see :class:`AdaptedSegmenter`.

    Example:
        >>> from monai_lora_sam.encoders import build_encoder
        >>> network = build_segmenter(build_encoder("tiny"), lora={"r": 8, "targets": "qv"})
        >>> network(torch.rand(1, 3, 56, 56)).shape
        torch.Size([1, 1, 56, 56])
    """
    stack = encoder if isinstance(encoder, AdapterStack) else AdapterStack(encoder)
    below = tuple(stack.active)
    apply_strategy(stack, strategy, name, last_n=last_n, **(lora or {}))
    head = SegmentationHead(stack.encoder.channels, out_channels, width)
    adapters = (*below, name) if strategy == "lora" else below
    return AdaptedSegmenter(stack, head, adapters, strategy, name, mixed_precision)
