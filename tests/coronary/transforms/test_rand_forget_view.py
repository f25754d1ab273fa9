"""View angles are forgotten as often as asked."""

from __future__ import annotations

import torch

from monai_lora_sam.coronary.transforms import RandForgetViewd


def test_forgets_as_often_as_asked():
    forget = RandForgetViewd(prob=0.3).set_random_state(0)
    view = torch.tensor([30.0, -20.0])
    outcomes = [forget({"view": view})["view"] for _ in range(1000)]
    forgotten = [bool(outcome.isnan().all()) for outcome in outcomes]
    assert abs(sum(forgotten) / 1000 - 0.3) < 0.05
    assert all(
        torch.equal(outcome, view) for outcome, gone in zip(outcomes, forgotten, strict=True) if not gone
    )


def test_never_and_always():
    item = {"view": torch.tensor([30.0, -20.0])}
    assert torch.equal(RandForgetViewd(prob=0.0)(item)["view"], item["view"])
    assert RandForgetViewd(prob=1.0)(item)["view"].isnan().all()
    assert not item["view"].isnan().any(), "the item given stays as it was"
