"""Measure the norm of gradients in each block of a trained network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from monai.engines import SupervisedTrainer
from monai.utils import set_determinism
from torch import Tensor, nn

#: Batches of the training data whose gradients are averaged.
BATCHES = 4

Norms = dict[str, list[float | None]]


def gradient_norms(trainer: SupervisedTrainer, blocks: Mapping[str, str], seed: int) -> dict[str, Norms]:
    """Return the norms of the loss's gradients in each block, without a step.

    Args:
        trainer: after its training.
        blocks: names of lists of blocks, such as ``image encoder``, and where they are below the trained network.
        seed: of what the network and the data draw.

    Returns:
        for each name, a value for each block, first to last: `parameters`, of the gradients of what trains in it, None
        where nothing does; `outputs`, of the gradient of what the block returns, frozen or not, None where the network
        does not run it. Both are means over batches.

    Raises:
        ValueError: no such blocks in the network.
    """
    network = getattr(trainer.network, "network", trainer.network)
    found = {name: _blocks(network, name, place) for name, place in blocks.items()}
    sums = {
        name: {kind: [0.0] * len(those) for kind in ("parameters", "outputs")}
        for name, those in found.items()
    }
    ran: set[tuple[str, int]] = set()
    set_determinism(seed)
    network.train()
    device = next(network.parameters()).device
    count = 0
    for batch in trainer.data_loader:
        if count == BATCHES:
            break
        count += 1
        outputs: dict[tuple[str, int], Tensor] = {}
        hooks = [
            block.register_forward_hook(partial(_keep, outputs, (name, place)))
            for name, those in found.items()
            for place, block in enumerate(those)
        ]
        trainer.network.zero_grad(set_to_none=True)
        image, label, _, named = trainer.prepare_batch(batch, device, False)
        trainer.loss_function(trainer.network(image, **named), label).backward()
        for hook in hooks:
            hook.remove()
        for (name, place), output in outputs.items():
            ran.add((name, place))
            sums[name]["outputs"][place] += 0.0 if output.grad is None else float(output.grad.norm())
        for name, those in found.items():
            for place, block in enumerate(those):
                grads = [p.grad for p in block.parameters() if p.grad is not None]
                sums[name]["parameters"][place] += math.sqrt(sum(float(grad.norm()) ** 2 for grad in grads))
    trainer.network.zero_grad(set_to_none=True)
    set_determinism(None)
    return {
        name: {
            "parameters": [
                sums[name]["parameters"][place] / count
                if any(p.requires_grad for p in block.parameters())
                else None
                for place, block in enumerate(those)
            ],
            "outputs": [
                sums[name]["outputs"][place] / count if (name, place) in ran else None
                for place in range(len(those))
            ],
        }
        for name, those in found.items()
    }


def _blocks(network: nn.Module, name: str, place: str) -> list[nn.Module]:
    try:
        return list(attrgetter(place)(network))
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"gradients: {name}: expected blocks of the network at {place!r}, found none"
        ) from error


def _keep(outputs: dict[Any, Tensor], key: Any, block: nn.Module, inputs: Any, output: Any) -> Any:
    """Keep what a block returns, and let gradients reach it where nothing below trains."""
    tensor = output if isinstance(output, Tensor) else output[0]
    if not tensor.requires_grad:
        tensor = tensor.detach().requires_grad_(True)
    tensor.retain_grad()
    outputs[key] = tensor
    passed_on = tensor.clone()  # what follows may write into it
    return passed_on if isinstance(output, Tensor) else (passed_on, *output[1:])
