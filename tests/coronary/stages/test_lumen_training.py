"""The training loop: what plain torch gives, and a broken run that ends like an unbroken one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from monai_lora_sam.coronary.stages import lumen_training, train_lumen_network

ARGUMENTS = {"steps": 6, "learning_rate": 0.01, "seed": 0}


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 3))


def loss_of(one: nn.Module) -> Callable[[int], Tensor]:
    def loss_at(step: int) -> Tensor:
        picture = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        return one(picture).square().mean() * 50

    return loss_at


def test_it_is_adamw_with_clipped_gradients_and_half_a_cosine(tmp_path: Path):
    ours, theirs = network(), network()
    losses = []
    train_lumen_network(
        ours, loss_of(ours), tmp_path / "c.pt", ARGUMENTS, lambda _, loss: losses.append(loss)
    )
    optimiser = torch.optim.AdamW(theirs.parameters(), weight_decay=0.01)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0), T_max=6, eta_min=0.01
    )
    expected = []
    for step in range(6):
        for group in optimiser.param_groups:  # the first hundred steps rise
            group["lr"] = 0.01 * (step + 1) / 100 * cosine.get_last_lr()[0]
        loss = loss_of(theirs)(step)
        expected.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        assert torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0) > 1
        optimiser.step()
        cosine.optimizer.step()
        cosine.step()
    assert losses == pytest.approx(expected, rel=1e-5)
    assert not ours.training and not any(p.requires_grad for p in ours.parameters())


def test_a_broken_run_ends_like_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lumen_training, "SAVE_EVERY", 2)
    whole, broken, again = network(), network(), network()
    train_lumen_network(whole, loss_of(whole), tmp_path / "whole.pt", ARGUMENTS, lambda *_: None)

    def stop(step: int, _: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    path = tmp_path / "broken.pt"
    with pytest.raises(KeyboardInterrupt):
        train_lumen_network(broken, loss_of(broken), path, ARGUMENTS, stop)
    steps = []
    train_lumen_network(again, loss_of(again), path, ARGUMENTS, lambda step, _: steps.append(step))
    assert steps == [5, 6]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not list(tmp_path.glob("*.tmp"))
    with pytest.raises(ValueError, match=r"broken\.pt: expected a run with .*'seed': 1.*give another --work"):
        train_lumen_network(again, loss_of(again), path, {**ARGUMENTS, "seed": 1}, lambda *_: None)
