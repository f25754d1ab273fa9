"""The schedule across an interruption, against one that was never interrupted."""

from __future__ import annotations

import pytest
import torch

from monai_lora_sam.handlers import ResumableWarmupCosine


def schedule(steps: int) -> ResumableWarmupCosine:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    return ResumableWarmupCosine(optimizer, warmup_steps=2, t_total=steps)


def rates(scheduler: ResumableWarmupCosine, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
        found.append(scheduler.get_last_lr()[0])
    return found


def test_a_resumed_schedule_goes_on_as_an_uninterrupted_one():
    whole, first, second = rates(schedule(10), 10), schedule(10), schedule(10)
    before = rates(first, 4)
    second.load_state_dict(first.state_dict())
    assert before + rates(second, 6) == pytest.approx(whole)


def test_a_run_resumed_with_more_steps_ends_at_its_new_end():
    first, longer = schedule(10), schedule(20)
    rates(first, 10)
    longer.load_state_dict(first.state_dict())
    found = rates(longer, 10)
    assert found == pytest.approx(rates(schedule(20), 20)[10:])
    assert found[-1] == pytest.approx(0.0) and found == sorted(found, reverse=True)
