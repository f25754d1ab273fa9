"""Predict the peak memory of a step by running it on fake tensors."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import _engine_run_backward
from torch.nn import functional

from monai_lora_sam.encoders import fused_attention
from monai_lora_sam.memory.configuration import LEAST_8BIT_ELEMENTS, OPTIMISERS, StepConfiguration
from monai_lora_sam.memory.fake_network import make_fake, meta_segmenter
from monai_lora_sam.memory.ledger import History, Ledger, kept_elsewhere, kept_for_backward
from monai_lora_sam.memory.repeated_blocks import copies_of, follow, join_alike
from monai_lora_sam.memory.target import CudaOperators, cuda_workspace

GIB = 2**30
#: Parts of a peak, in the order in which they are shown.
PARTS = ("weights", "gradients", "optimiser", "average", "activations", "temporaries", "constant")
#: Batches that run, of which one divides no side and no dimension of a weight: a storage whose bytes are a multiple of
#: it grows with the batch.
PRIMES = (37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
#: Bytes that libraries take from the allocator besides, such as workspaces of cuBLAS and cuDNN. On CUDA it is the
#: remainder, extrapolated to no image, of the peaks of SAM 3 that were measured on an H100 (``tests/memory``).
CONSTANT = {"cuda": 256 * 2**20, "cpu": 0}


@dataclass(frozen=True)
class Prediction:
    """Hold the predicted memory of a step.

    Attributes:
        configuration: of the step.
        batch: images of the step.
        image_size: side in pixels.
        parts: bytes of each of :data:`PARTS` at the moment of the peak.
        flops: floating point operations for each image, forward and backward.
        trained: number of trained parameters.
    """

    configuration: StepConfiguration
    batch: int
    image_size: int
    parts: dict[str, int]
    flops: float
    trained: int

    @property
    def peak(self) -> int:
        """Return the peak in bytes, as ``torch.cuda.max_memory_allocated`` counts."""
        return sum(self.parts.values())

    @property
    def peak_gib(self) -> float:
        """Return the peak in GiB of 2³⁰ bytes."""
        return self.peak / GIB

    def resolved(self) -> StepConfiguration:
        """Return the configuration at the batch and size of this prediction."""
        return replace(self.configuration, batch=self.batch, image_size=self.image_size)

    def overrides(self) -> dict[str, Any]:
        """Return the settings of stage 1's bundle for such a step."""
        return self.resolved().overrides()


class StepMemory:
    """Evaluate the memory of one configuration at any batch.

    On CUDA one fake step serves every batch. On the CPU, where the attention changes with the size of the batch, the
    step runs at the batch of the configuration, and no other can be asked for.

    Args:
        configuration: of the step.
        join: run one block for all that are built alike.

    Raises:
        ValueError: a size, target, layer or quantisation that the encoder cannot take.
    """

    def __init__(self, configuration: StepConfiguration, join: bool = True) -> None:
        self.configuration = configuration
        # The run knows nothing of these.
        ran = replace(configuration, optimiser="adamw", average=True)
        self.scales = configuration.device == "cuda"
        if self.scales:
            ran = replace(ran, batch=1)
        self.history, self.trained, self.image_size, self.blocks = _recorded(ran, join)

    def predict(self, batch: int) -> Prediction:
        """Return the prediction at a batch."""
        if not self.scales and batch != self.configuration.batch:
            raise ValueError(f"batch: expected {self.configuration.batch} on the CPU, found {batch}")
        c = self.configuration
        parts = dict.fromkeys(PARTS, 0) | self.history.peak(batch)
        parts["constant"] = CONSTANT[c.device]
        if c.training:
            parts["optimiser"] = self._optimiser_bytes()
            parts["average"] = 4 * sum(self.trained) if c.average else 0
            parts = max(parts, self._update(parts), key=lambda found: sum(found.values()))
        return Prediction(c, batch, self.image_size, parts, self.history.flops, sum(self.trained))

    def _optimiser_bytes(self) -> int:
        kind = self.configuration.optimiser
        rate = OPTIMISERS[kind]
        small = 8.0 if kind != "adamw" else rate
        return round(sum(n * (small if n < LEAST_8BIT_ELEMENTS else rate) for n in self.trained))

    def _update(self, parts: dict[str, int]) -> dict[str, int]:
        """Return the parts while the optimiser moves the parameters.

        On CUDA torch's AdamW works on all tensors at once, with a copy of all; elsewhere on one after the other.
        """
        together = self.configuration.optimiser == "adamw" and self.configuration.device == "cuda"
        copies = sum(self.trained) if together else max(self.trained)
        return parts | {
            "gradients": 4 * sum(self.trained),
            "activations": 0,
            "temporaries": 4 * copies,
        }


@lru_cache(maxsize=64)
def _recorded(configuration: StepConfiguration, join: bool) -> tuple[History, list[int], int, int]:
    """Run a step; return its history, sizes of the trained parameters, side of the images, number of blocks."""
    network = meta_segmenter(configuration)
    side = network.stack.encoder.image_size
    trained = [p.numel() for p in network.parameters() if p.requires_grad]
    batch, scales = configuration.batch, configuration.device == "cuda"
    if scales:
        sizes = {side, *(size for p in network.parameters() for size in p.shape)}
        batch = next(prime for prime in PRIMES if all(size % prime for size in sizes))
    history = _run(network, configuration, side, batch, scales, join)
    return history, trained, side, len(network.stack.encoder.blocks)


def predict(configuration: StepConfiguration) -> Prediction:
    """Predict the peak memory of a step, without a GPU and without weights.

    Example:
        >>> prediction = predict(StepConfiguration("tiny", 336, batch=2))
        >>> prediction.peak_gib < 1
        True
    """
    return StepMemory(configuration).predict(configuration.batch)


def _run(
    network: Any, configuration: StepConfiguration, side: int, batch: int, scales: bool, join: bool
) -> History:
    """Run a step on fake tensors and return its history."""
    ledger = Ledger(cuda_workspace if configuration.device == "cuda" else None)
    training = configuration.training
    counts = join_alike(network.stack.encoder) if join else {}
    with ExitStack() as contexts:
        contexts.enter_context(FakeTensorMode())
        make_fake(network)
        image = torch.empty(batch, 3, side, side)
        features = stored_features(network, image) if configuration.feature_cache else None
        copies = copies_of(network, counts)
        contexts.enter_context(ledger)
        held = (*network.parameters(), *network.buffers())
        ledger.assign(((tensor, copies.get(id(tensor), 1)) for tensor in held), "weights")
        follow(ledger, counts)
        if configuration.checkpointing == "offload":
            ledger.offloads = True
            network.stack.encoder.offload = kept_elsewhere
        contexts.enter_context(kept_for_backward(ledger) if training else torch.no_grad())
        for tensor in (image, *(features or ())):
            ledger.enter(tensor)
        mask = torch.empty(batch, 1, side, side, dtype=torch.uint8)
        if configuration.device == "cuda":
            # A CPU without instructions for bfloat16 would leave autocast off.
            network.autocast = lambda _: torch.autocast(
                "cpu", torch.bfloat16, enabled=configuration.mixed_precision
            )
            contexts.enter_context(fused_attention())
            contexts.enter_context(CudaOperators())
        logits = network(image, features)
        if training:
            loss = dice_and_cross_entropy(logits, mask)
            # `loss.backward()` would switch the operators of CUDA off, and checkpointing computes blocks again.
            ledger.backward = True
            _engine_run_backward((loss,), (torch.ones_like(loss),), False, False, (), accumulate_grad=True)
            trained = [p for p in network.parameters() if p.grad is not None]
            ledger.assign(((p.grad, copies.get(id(p), 1)) for p in trained), "gradients")
        return ledger.history(batch, scales, configuration.device)


def stored_features(network: Any, image: Tensor) -> list[Tensor]:
    """Return what a feature cache gives for images, in float32, as training takes it."""
    with torch.no_grad():
        return [level.float() for level in network.read(image)]


def dice_and_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Compute the loss of MONAI's ``DiceCELoss``, which itself reads numbers that fake tensors do not have."""
    mask = mask.float()
    probability = torch.sigmoid(logits)
    overlap = (probability * mask).sum((2, 3))
    dice = 1 - (2 * overlap + 1e-5) / (probability.sum((2, 3)) + mask.sum((2, 3)) + 1e-5)
    return dice.mean() + functional.binary_cross_entropy_with_logits(logits, mask)
