"""Clipping of gradients: a step of SGD is as long as the learning rate at most."""

from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedTrainer

from monai_lora_sam.handlers import GradientClipping


@pytest.mark.parametrize(("factor", "expected"), [(100.0, 0.1), (1e-3, None)])
def test_a_step_is_as_long_as_the_rate_at_most(factor: float, expected: float | None):
    network = torch.nn.Linear(4, 1, bias=False)
    before = network.weight.detach().clone()
    batch = {"image": torch.ones(2, 4), "label": torch.zeros(2, 1)}
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[batch],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=lambda read, _: factor * read.sum(),
        decollate=False,
    )
    GradientClipping(network.parameters(), 1.0).attach(trainer)
    trainer.run()
    moved = (network.weight.detach() - before).norm().item()
    assert moved == pytest.approx(0.1 * factor * 2 * 2 if expected is None else expected, rel=1e-3)


@pytest.mark.parametrize("norm", [0.0, -1.0, float("nan")])
def test_a_norm_that_is_none_is_refused(norm: float):
    with pytest.raises(ValueError, match="max_norm: expected a number above 0"):
        GradientClipping([], norm)
