"""Describe the step whose memory is predicted."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monai_lora_sam.adapters import STRATEGIES
from monai_lora_sam.encoders import ENCODERS
from monai_lora_sam.networks import HEADS

#: Optimisers, with the bytes of state for each trained parameter.
OPTIMISERS = {"adamw": 8.0, "adamw_8bit": 2.0, "paged_adamw_8bit": 0.0}
#: Classes of the optimisers from bitsandbytes.
EIGHT_BIT = {"adamw_8bit": "AdamW8bit", "paged_adamw_8bit": "PagedAdamW8bit"}
#: Optimisers of bitsandbytes keep the state of tensors smaller than this in float32.
LEAST_8BIT_ELEMENTS = 4096
PRECISIONS = ("float32", "bfloat16")
DEVICES = ("cuda", "cpu")


@dataclass(frozen=True)
class StepConfiguration:
    """Hold everything that decides about the memory of one training or inference step of a segmenter.

    Attributes:
        encoder: by name.
        image_size: side in pixels; None for the encoder's own.
        batch: images of a step.
        strategy: ``"lora"``, ``"frozen"``, ``"last_n"`` or ``"full"``.
        last_n: blocks that ``last_n`` trains.
        rank, targets, layers: of the adapter, as ``AdapterStack.add`` takes them.
        head: type of the head, from the registry; one that gives masks.
        head_width: channels of the head; None for its own default.
        base: type of the base's weights, ``"float32"`` or ``"bfloat16"``.
        quantise: ``"nf4"`` for linear layers in 4 bits, or None.
        mixed_precision: bfloat16 autocast.
        checkpointing: gradient checkpointing; ``"offload"`` with the checkpoints in the memory of the CPU.
        feature_cache: what the training leaves as it is, the encoder or its first blocks, is read from a cache.
        optimiser: a key of :data:`OPTIMISERS`.
        average: keep a moving average of the trained parameters, as the bundles do.
        training: a training step; else the forward pass of inference.
        device: ``"cuda"`` or ``"cpu"``.

    Raises:
        ValueError: a value outside its range, or a combination that does not train.

    Example:
        >>> StepConfiguration("sam3", 1008, checkpointing=True).strategy
        'lora'
    """

    encoder: str
    image_size: int | None = None
    batch: int = 1
    strategy: str = "lora"
    last_n: int = 2
    rank: int = 16
    targets: str | Sequence[str] | None = None
    layers: int | None = None
    head: str = "segmentation"
    head_width: int | None = None
    base: str = "float32"
    quantise: str | None = None
    mixed_precision: bool = True
    checkpointing: bool | str = False
    feature_cache: bool = False
    optimiser: str = "adamw"
    average: bool = True
    training: bool = True
    device: str = "cuda"

    def __post_init__(self) -> None:
        _choice("encoder", self.encoder, ENCODERS.names())
        _choice("head", self.head, HEADS.names())
        _choice("strategy", self.strategy, STRATEGIES)
        _choice("base", self.base, PRECISIONS)
        _choice("optimiser", self.optimiser, OPTIMISERS)
        _choice("device", self.device, DEVICES)
        if self.checkpointing not in (True, False):
            _choice("checkpointing", self.checkpointing, ("offload",))
        if self.checkpointing == "offload" and self.device == "cpu":
            raise ValueError(
                "checkpointing 'offload': expected CUDA, found the CPU, where nothing can be moved to"
            )
        if self.quantise is not None:
            _choice("quantise", self.quantise, ("nf4",))
        for name in ("batch", "rank", "last_n"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected 1 or more, found {value!r}")
        if self.base == "bfloat16" and (self.device == "cpu" or not self.mixed_precision):
            raise ValueError(
                "base 'bfloat16': expected CUDA and mixed precision, by which the head in float32 takes its features"
            )
        whole = self.strategy in ("full", "last_n") or (self.strategy == "lora" and self.layers is None)
        if self.feature_cache and (whole or not self.training):
            raise ValueError(
                "feature cache: expected a training with strategy frozen, or lora in the last blocks alone, found "
                + (f"{self.strategy!r} in all blocks" if self.training else "inference")
            )
        if self.training and self.strategy in ("full", "last_n"):
            if self.quantise is not None:
                raise ValueError(
                    f"quantise {self.quantise!r}: expected strategy lora or frozen, found {self.strategy!r}: "
                    "4-bit weights do not train"
                )
            if self.base == "bfloat16":
                raise ValueError(
                    f"base 'bfloat16': expected strategy lora or frozen, found {self.strategy!r}, which trains the "
                    "base: its steps would be rounded away"
                )

    def overrides(self) -> dict[str, Any]:
        """Return the settings of a stage's bundle that make it train this way."""
        settings: dict[str, Any] = {
            "encoder_name": self.encoder,
            "image_size": self.image_size,
            "batch_size": self.batch,
            "strategy": self.strategy,
            "quantise": self.quantise,
            "mixed_precision": self.mixed_precision,
            "gradient_checkpointing": self.checkpointing,
            "base_precision": self.base,
            "feature_cache": self.feature_cache,
            "head_width": self.head_width,
        }
        if self.optimiser in EIGHT_BIT:
            settings["optimizer::_target_"] = f"bitsandbytes.optim.{EIGHT_BIT[self.optimiser]}"
        if self.strategy == "lora":
            settings |= {"lora::r": self.rank, "lora::alpha": 2 * self.rank, "lora::targets": self.targets}
            if self.layers is not None:
                settings["lora::layers"] = self.layers
        if self.strategy == "last_n":
            settings["last_n"] = self.last_n
        return settings


def _choice(name: str, value: Any, known: Sequence[str] | dict[str, Any]) -> None:
    if value not in known:
        near = difflib.get_close_matches(str(value), list(known), 1)
        hint = f"; nearest: {near[0]!r}" if near else ""
        raise ValueError(f"{name}: expected one of {', '.join(known)}, found {value!r}{hint}")
