"""Run a step for real and measure its peak, to compare with the prediction."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.memory.configuration import EIGHT_BIT, StepConfiguration
from monai_lora_sam.memory.fake_network import network_on
from monai_lora_sam.memory.prediction import dice_and_cross_entropy, stored_features


@dataclass(frozen=True)
class Measurement:
    """Hold the measured memory of a step.

    Attributes:
        peak: bytes that torch's allocator held at most.
        seconds: of the measured step; on the CPU that of a step before it, without the profiler.
        device: name of the card, or ``"cpu"``.
    """

    peak: int
    seconds: float
    device: str


def measure(configuration: StepConfiguration) -> Measurement:
    """Run two steps with random weights and images, and measure the second.

    On CUDA the peak is ``torch.cuda.max_memory_allocated``, on the CPU the sum of what torch's profiler saw allocated.

    Raises:
        RuntimeError: CUDA without a GPU, or out of memory.
    """
    c = configuration
    device = torch.device(c.device)
    network = _network(c).to(device, memory_format=torch.channels_last).train(c.training)
    side = network.stack.encoder.image_size
    trained = [p for p in network.parameters() if p.requires_grad]
    average = copy.deepcopy(trained) if c.average and c.training else []
    optimiser = _optimiser(c, network) if c.training else None
    image = torch.rand(c.batch, 3, side, side, device=device)
    features = stored_features(network, image) if c.feature_cache else None
    mask = (torch.rand(c.batch, 1, side, side, device=device) > 0.95).to(torch.uint8)

    def step() -> None:
        if optimiser is None:
            with torch.no_grad():
                network(image)
            return
        optimiser.zero_grad(set_to_none=True)
        dice_and_cross_entropy(network(image, features), mask).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    step()
    started = time.perf_counter()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        seconds = time.perf_counter() - started
        return Measurement(
            torch.cuda.max_memory_allocated(device), seconds, torch.cuda.get_device_name(device)
        )
    step()
    seconds = time.perf_counter() - started
    state = [] if optimiser is None else [t for s in optimiser.state.values() for t in s.values()]
    before = sum(
        tensor.untyped_storage().nbytes()
        for tensor in [*network.parameters(), *network.buffers(), *average, *state, image, mask]
        if isinstance(tensor, torch.Tensor)
    )
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        step()
    return Measurement(before + _highest_sum(profile), seconds, "cpu")


def _network(c: StepConfiguration) -> Any:
    encoder = build_encoder(
        c.encoder, None, c.image_size, getattr(torch, c.base), c.checkpointing, quantise=c.quantise
    )
    return network_on(encoder, c)


def _optimiser(c: StepConfiguration, network: nn.Module) -> torch.optim.Optimizer:
    groups: Any = network.parameter_groups(1e-3, 1e-4)  # type: ignore[operator]
    if c.optimiser in EIGHT_BIT:
        from bitsandbytes import optim

        return getattr(optim, EIGHT_BIT[c.optimiser])(groups, weight_decay=0.01)
    return torch.optim.AdamW(groups, weight_decay=0.01)


def _highest_sum(profile: Any) -> int:
    """Return the highest sum of bytes allocated since the profiler started."""
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    total = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        total += event.nbytes()
        highest = max(highest, total)
    return highest
