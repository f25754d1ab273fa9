"""An encoder with adapters, and a segmentation head on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.utils import convert_to_tensor
from torch import Tensor, nn

from monai_lora_sam.adapters import AdapterStack, apply_strategy, blocks_below
from monai_lora_sam.encoders import ImageEncoder
from monai_lora_sam.networks.heads import HEADS, HeadEntry
from monai_lora_sam.networks.segmentation_head import SegmentationHead
from monai_lora_sam.networks.stage_network import StageNetwork


class AdaptedSegmenter(StageNetwork):
    """Segment an image of any size into logits of the same size.

    Runs as it is inside MONAI's ``SupervisedTrainer`` and ``sliding_window_inference``. Several networks may
    share one stack: each switches its own adapters on when it runs. An image whose size the encoder cannot take
    is padded right and below with zeros, the mean of the normalised intensities, to the nearest larger size that
    it can; the logits are cropped back.

    Args:
        stack: encoder with adapters.
        head: turns its features into logits.
        adapters: names of the adapters that are summed for this network; none for the bare encoder.
        strategy, name, mixed_precision: see :class:`StageNetwork`.

    Shapes:
        image: (B, 3, H, W), normalised for the encoder; features: as :meth:`read` returned them for these images,
        so that the fixed part of the encoder need not run again; conditions: arguments of the head's conditioning.
        Returns (B, out_channels, H, W).
    """

    @classmethod
    def new(  # type: ignore[override]
        cls,
        stack: AdapterStack,
        head: type[nn.Module],
        reads: Mapping[str, StageNetwork],
        *,
        out_channels: int = 1,
        name: str = "stage",
        strategy: str = "lora",
        width: int | None = None,
        last_n: int = 2,
        lora: dict[str, Any] | None = None,
        mixed_precision: bool = True,
    ) -> AdaptedSegmenter:
        """Put a fresh head on a stack; arguments as of :func:`build_segmenter`."""
        parents = tuple(stack.active)
        apply_strategy(stack, strategy, name, last_n=last_n, **(lora or {}))
        fresh = head(channels=stack.encoder.channels, out_channels=out_channels, width=width)
        adapters = (*parents, name) if strategy == "lora" else parents
        return cls(stack, fresh, adapters, strategy, name, mixed_precision)

    @classmethod
    def join(  # type: ignore[override]
        cls, stack: AdapterStack, head: nn.Module, reads: Mapping[str, StageNetwork], **arguments: Any
    ) -> AdaptedSegmenter:
        """Put a trained head back on the stack that it was trained on."""
        return cls(stack, head, **arguments)

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's pyramid under this network's adapters, finest first.

        Raises:
            ValueError: the encoder cannot take the size of the image; :meth:`read` pads it.
        """
        image = convert_to_tensor(image, track_meta=False)
        with self._adapted(image.device):
            return self.stack(image)

    def _adapted(self, device: torch.device) -> torch.autocast:
        """Switch this network's adapters on, and return the context that the encoder runs in.

        They stay on: gradient checkpointing runs blocks again in the backward pass, under the adapters active then.
        """
        if tuple(self.stack.active) != self.adapters:
            self.stack.activate(*self.adapters)
        return self.autocast(device)

    @property
    def fixed_blocks(self) -> int | None:
        """Number of the encoder's first blocks that training leaves as they are; None for the whole encoder."""
        return blocks_below(self.stack.model, self.name) if self.strategy == "lora" else super().fixed_blocks

    @property
    def read_adapters(self) -> tuple[str, ...]:
        """Names of the adapters that the result of :meth:`read` depends on: not the one that trains."""
        return tuple(name for name in self.adapters if self.fixed_blocks is None or name != self.name)

    @property
    def read_settings(self) -> dict[str, str]:
        """The number of blocks after which :meth:`read` stops, where it does."""
        return {} if self.fixed_blocks is None else {"reads": f"{self.fixed_blocks} blocks"}

    def read(self, image: Tensor, **conditions: Tensor | None) -> list[Tensor]:
        """Return what the part of the encoder that training leaves as it is makes of the padded image.

        With the strategy ``frozen`` its :meth:`features`, with ``lora`` the state after the :attr:`fixed_blocks`; the
        conditions act in the head.
        """
        image = self.pad(convert_to_tensor(image, track_meta=False))
        if (blocks := self.fixed_blocks) is None:
            return self.features(image)
        with self._adapted(image.device):
            return self.stack.encoder.begin(image, blocks)

    def forward(
        self, image: Tensor, features: list[Tensor] | None = None, **conditions: Tensor | None
    ) -> Tensor:
        # MetaTensor follows every operation in Python: an order of magnitude slower on small networks.
        image = convert_to_tensor(image, track_meta=False)
        height, width = image.shape[-2:]
        image = self.pad(image)
        if features is None:
            features = self.features(image)
        elif (blocks := self.fixed_blocks) is not None:
            with self._adapted(image.device):
                features = self.stack.encoder.resume(features, blocks)
        return self.logits(image, features, **conditions)[..., :height, :width]

    def logits(self, image: Tensor, features: list[Tensor], **conditions: Tensor | None) -> Tensor:
        """Return the head's logits for a padded image and its :meth:`features`, float32."""
        with self.autocast(image.device):
            return self.head(features, image, **conditions).float()


def build_segmenter(
    encoder: ImageEncoder | AdapterStack, head: str = "segmentation", **arguments: Any
) -> AdaptedSegmenter:
    """Put a new stage on an encoder: adapter or other strategy, and a fresh head.

    Args:
        encoder: an image encoder, or a stack with the adapters of earlier stages, which stay frozen and active.
        head: type of the head, from the registry.
        out_channels: number of logit maps; 1 for a mask.
        name: of the stage and of its adapter.
        strategy: trains, besides the head, the adapter (``lora``), nothing (``frozen``), the last blocks of the
            encoder (``last_n``) or all of it (``full``).
        width: channels of the head, see :class:`SegmentationHead`.
        last_n: how many blocks ``last_n`` unfreezes.
        lora: arguments of ``AdapterStack.add``: ``r``, ``alpha``, ``targets``, ``dropout``, ``layers``.
        mixed_precision: see :class:`StageNetwork`.

    Raises:
        ValueError: an unknown head, or one that gives no masks.

    Example:
        >>> from monai_lora_sam.encoders import build_encoder
        >>> network = build_segmenter(build_encoder("tiny"), lora={"r": 8, "targets": "qv"})
        >>> network(torch.rand(1, 3, 56, 56)).shape
        torch.Size([1, 1, 56, 56])
    """
    entry: HeadEntry = HEADS.load(head)
    if not issubclass(entry.network, AdaptedSegmenter):
        raise ValueError(f"head {head!r}: expected one of a segmenter, found one of {entry.network.__name__}")
    stack = encoder if isinstance(encoder, AdapterStack) else AdapterStack(encoder)
    return entry.network.new(stack, entry.head, {}, **arguments)


#: The entry of the segmentation head.
SEGMENTATION = HeadEntry(SegmentationHead, AdaptedSegmenter)
