"""Prompts drawn for the objects of a label: each fits its own mask, all kinds come, seeds repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_lora_sam.transforms import DrawObjectPromptsd, jittered_box, tight_box


@pytest.fixture
def label() -> torch.Tensor:
    label = torch.zeros(1, 60, 50, dtype=torch.uint8)
    label[0, 5:25, 8:20] = 1
    label[0, 30:50, 20:45] = 7
    return label


def test_each_prompt_shows_the_object_of_its_mask(label):
    item = DrawObjectPromptsd(60, seed=3)({"label": label})
    assert "label" not in item and item["size"].tolist() == [60, 50]
    kinds = set()
    for box, points, labels, mask in zip(
        item["boxes"], item["points"], item["point_labels"], item["truth"], strict=True
    ):
        values = label[0][mask.bool()].unique()
        assert len(values) == 1 and torch.equal(mask.bool(), label[0] == values[0])
        count = int((labels == 1).sum())
        assert labels[:count].tolist() == [1] * count and set(labels[count:].tolist()) <= {-1}
        assert (count == 0) == bool(box.any())
        tight = torch.from_numpy(tight_box(mask.bool().numpy()))
        if count:
            assert all(mask[int(y), int(x)] for x, y in points[:count])
            kinds.add(count)
        else:
            assert box[2] > box[0] and box[3] > box[1]
            kinds.add("tight" if torch.equal(box, tight) else "jittered")
    assert kinds == {1, 2, 3, 4, 5, "tight", "jittered"}


def test_a_seed_repeats_and_none_does_not(label):
    fixed, fresh = DrawObjectPromptsd(4, seed=1), DrawObjectPromptsd(4)
    first, second = (fixed({"label": label})["points"] for _ in range(2))
    assert torch.equal(first, second)
    fresh.set_random_state(seed=0)
    drawn = [fresh({"label": label}) for _ in range(2)]
    assert any(not torch.equal(drawn[0][key], drawn[1][key]) for key in ("boxes", "points", "truth"))


def test_few_prompts_are_for_different_objects(label):
    truth = DrawObjectPromptsd(2, seed=0)({"label": label})["truth"]
    assert not (truth[0] & truth[1]).any()


def test_the_size_before_padding_is_kept(label):
    size = torch.tensor([55, 50])
    assert DrawObjectPromptsd(1)({"label": label, "size": size})["size"] is size


def test_labels_without_an_object_are_named():
    empty = {"label": torch.zeros(1, 8, 8), "file": "a/mask.png"}
    with pytest.raises(ValueError, match=r"a/mask\.png: expected an object at 8x8 pixels, found none"):
        DrawObjectPromptsd(1)(empty)
    with pytest.raises(ValueError, match="count: expected 1 or more, found 0"):
        DrawObjectPromptsd(0)


def test_jittered_boxes_move_about_the_tight_one(label):
    mask = (label[0] == 7).numpy()
    generator = np.random.default_rng(0)
    boxes = np.array([jittered_box(mask, 0.2, generator) for _ in range(400)])
    away = boxes - tight_box(mask)
    assert np.abs(away[:, [0, 2]]).max() <= 0.3 * 24 + 1e-4 and np.abs(away[:, 1]).max() <= 0.3 * 19 + 1e-4
    assert np.abs(away).max() > 0.2 * 24
    assert np.abs(away.mean(0)).max() < 0.5 and (boxes >= 0).all()
    assert np.array_equal(jittered_box(mask, 0, generator), tight_box(mask))
    with pytest.raises(ValueError, match="share: expected 0 to 1, found 2"):
        jittered_box(mask, 2, generator)
