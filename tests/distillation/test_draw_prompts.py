"""Prompts from labels and on a grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_lora_sam.distillation import DrawPromptsd


def item(label: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    made = {"image": torch.zeros(3, 64, 64), "size": torch.tensor([64, 40])}
    return made if label is None else {**made, "label": label}


def test_prompts_show_labelled_objects():
    label = torch.zeros(1, 64, 64, dtype=torch.uint8)
    label[0, 10:20, 5:15] = 3
    label[0, 40:50, 20:35] = 255
    found = DrawPromptsd(6, seed=0)(item(label))
    assert "label" not in found
    for (x0, y0, x1, y1), (x, y) in zip(
        found["boxes"].tolist(), found["points"][:, 0].long().tolist(), strict=True
    ):
        value = int(label[0, y, x])
        rows, columns = np.nonzero(label[0].numpy() == value)
        assert value in (3, 255)
        for found_side, tight, sign in (
            (x0, columns.min(), 1),
            (y0, rows.min(), 1),
            (x1, columns.max(), -1),
            (y1, rows.max(), -1),
        ):
            assert 0 <= sign * (tight - found_side) <= 64 * 5 / 256 + 1e-4
    assert {int(label[0, y, x]) for x, y in found["points"][:, 0].long().tolist()} == {3, 255}


def test_without_a_label_they_spread_over_the_image():
    for made in (item(), item(torch.zeros(1, 64, 64, dtype=torch.uint8))):
        found = DrawPromptsd(4, seed=0)(made)
        x, y = found["points"][:, 0].unbind(1)
        assert (x < 40).all() and (y < 64).all()
        assert {(int(a >= 20), int(b >= 32)) for a, b in zip(x, y, strict=True)} == {
            (0, 0),
            (0, 1),
            (1, 0),
            (1, 1),
        }
        low, high = found["boxes"][:, :2], found["boxes"][:, 2:]
        assert (low >= 0).all() and (high <= torch.tensor([40, 64])).all() and (high > low).all()


def test_a_seed_draws_the_same_and_a_state_the_next():
    fixed, free = DrawPromptsd(3, seed=1), DrawPromptsd(3).set_random_state(4)
    assert torch.equal(fixed(item())["boxes"], fixed(item())["boxes"])
    first, second = free(item())["boxes"], free(item())["boxes"]
    assert not torch.equal(first, second)
    assert torch.equal(free.set_random_state(4)(item())["boxes"], first)


def test_the_smallest_image_has_prompts():
    found = DrawPromptsd(5, seed=0)({"image": torch.zeros(3, 64, 64), "size": torch.tensor([64, 1])})
    assert (found["boxes"][:, 2] == 1).all() and (found["points"][..., 0] == 0).all()
    with pytest.raises(ValueError, match="count: expected 1 or more, found 0"):
        DrawPromptsd(0)
