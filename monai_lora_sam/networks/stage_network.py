"""The interface of the networks that stages train, save and load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.networks.mixed_precision import autocast
from monai_lora_sam.networks.trainable_state import TrainableState


class StageNetwork(nn.Module):
    """Join an encoder with adapters and a head; the base class of the networks behind a head's entry.

    A subclass writes :meth:`new`, :meth:`join`, :meth:`read` and ``forward``.

    Attributes:
        stack: encoder with adapters.
        head: turns the result of :meth:`read` into the network's output.
        adapters: names of the adapters that are active when it runs.
        strategy: how it was or is trained, for the card.
        name: of this stage, and of its adapter where it has one.
        mixed_precision: run in bfloat16 autocast, on CUDA and on CPUs that have instructions for it. bfloat16 has
            float32's range, so no gradient scaler is needed. The output is float32 either way.
        head_reads_image: the head needs the image beside the result of :meth:`read`.
    """

    head_reads_image = True
    #: Roles of other stages whose outputs it reads, such as ``("organs", "tumours")``.
    roles: tuple[str, ...] = ()

    def __init__(
        self,
        stack: AdapterStack,
        head: nn.Module,
        adapters: tuple[str, ...] = (),
        strategy: str = "frozen",
        name: str = "stage",
        mixed_precision: bool = True,
    ) -> None:
        super().__init__()
        self.stack = stack
        self.head: Any = head
        self.adapters = tuple(adapters)
        self.strategy = strategy
        self.name = name
        self.mixed_precision = mixed_precision

    @classmethod
    def new(
        cls, stack: AdapterStack, head: type[nn.Module], reads: Mapping[str, StageNetwork], **arguments: Any
    ) -> StageNetwork:
        """Put a fresh stage on a stack, with the strategy applied.

        Args:
            stack: with the adapters of earlier stages loaded and active.
            head: class of the head.
            reads: the stages whose outputs it reads, by role.
            arguments: the network's own.
        """
        raise NotImplementedError

    @classmethod
    def join(
        cls,
        stack: AdapterStack,
        head: nn.Module,
        reads: Mapping[str, StageNetwork],
        *,
        adapters: tuple[str, ...],
        strategy: str,
        name: str,
        mixed_precision: bool,
    ) -> StageNetwork:
        """Put a trained head back on the stack that it was trained on."""
        raise NotImplementedError

    def read(self, image: Tensor, **conditions: Tensor | None) -> Any:
        """Return the input of the head besides the image itself; it can be stored and given back."""
        raise NotImplementedError

    @property
    def reads(self) -> dict[str, StageNetwork]:
        """The other stages whose outputs it reads, by role."""
        return {}

    @property
    def read_settings(self) -> dict[str, str]:
        """What the result of :meth:`read` depends on besides weights, adapters and the image."""
        return {}

    @property
    def fixed_blocks(self) -> int | None:
        """Number of the encoder's first blocks that training leaves as they are; None for the whole encoder."""
        return None if self.strategy == "frozen" else 0

    @property
    def read_adapters(self) -> tuple[str, ...]:
        """Names of the adapters that the result of :meth:`read` depends on."""
        return self.adapters

    @property
    def trainable(self) -> TrainableState:
        """The parameters that train, as a checkpoint wants them."""
        return TrainableState(self)

    def parameter_groups(self, learning_rate: float, base_learning_rate: float) -> list[dict[str, Any]]:
        """Return the trained parameters for an optimiser: adapter and head at one rate, the base's own at another."""
        base = self.base_parameters()
        trained = [p for p in self.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if id(p) not in base], "lr": learning_rate},
            {"params": [p for p in trained if id(p) in base], "lr": base_learning_rate},
        ]
        return [group for group in groups if group["params"]]

    def pad(self, image: Tensor) -> Tensor:
        """Pad (B, C, H, W) right and below with zeros to a size that the encoder takes; a valid size stays as it is."""
        height, width = image.shape[-2:]
        rows, columns = self.stack.encoder.enclosing_size(height, width)
        if (rows, columns) == (height, width) or not height or not width:
            return image
        return functional.pad(image, (0, columns - width, 0, rows - height))

    def base_parameters(self) -> set[int]:
        """Return the ``id`` of each parameter that trains at the base's rate: those of the encoder itself."""
        return {id(p) for name, p in self.stack.named_parameters() if "lora_" not in name}

    def autocast(self, device: torch.device) -> torch.autocast:
        """Return the context that the network runs in."""
        return autocast(device, self.mixed_precision)
