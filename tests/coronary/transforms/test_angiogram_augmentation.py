from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

from monai_lora_sam.coronary.transforms import angiogram_augmentation


def _item():
    rows, columns = np.mgrid[:96, :96]
    disc = ((rows - 40) ** 2 + (columns - 55) ** 2 < 20**2).astype(np.float32)
    # A dark disc on a bright ground: where the label lies the image is dark, before and after.
    return {
        "image": MetaTensor(torch.from_numpy(0.8 - 0.6 * disc)[None]),
        "label": MetaTensor(torch.from_numpy(disc.astype(np.uint8))[None]),
        "view": (30.0, -20.0),
    }


def test_label_moves_with_the_image():
    augment = angiogram_augmentation().set_random_state(0)
    moved = 0
    for _ in range(20):
        item = augment(_item())
        image, label = item["image"][0].numpy(), item["label"][0].numpy()
        assert set(np.unique(label)) <= {0, 1}
        moved += (label != _item()["label"][0].numpy()).any()
        inside = image[label > 0]
        assert np.median(inside) < 0.5
        # All the dark disc but its blurred or noisy rim is labelled.
        rows, columns = np.nonzero(label)
        ring = image[max(rows.min() - 3, 0) : rows.max() + 4, max(columns.min() - 3, 0) : columns.max() + 4]
        assert ((ring < np.median(inside) + 0.05) & (ring > 0)).sum() < 1.25 * label.sum()
        assert 0.5 < label.sum() / _item()["label"].numpy().sum() < 1.8  # Scale 0.8..1.25 on each axis.
    assert moved > 12


def test_equal_seeds_give_equal_images_and_other_seeds_others():
    one, same, other = (angiogram_augmentation().set_random_state(s) for s in (1, 1, 2))
    differ = False
    for _ in range(5):
        a, b, c = one(_item()), same(_item()), other(_item())
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["label"], b["label"])
        assert a["view"] == b["view"]
        differ |= not torch.equal(a["image"], c["image"])
    assert differ


def test_without_flips_the_view_stays():
    augment = angiogram_augmentation(flips=False).set_random_state(0)
    assert {augment(_item())["view"] for _ in range(10)} == {(30.0, -20.0)}
    augment = angiogram_augmentation().set_random_state(0)
    assert len({augment(_item())["view"] for _ in range(20)}) == 4


def test_implants_and_weak_filling_change_the_image_alone():
    usual, more = (
        angiogram_augmentation(flips=False, implants=p, weak_filling=p).set_random_state(0)
        for p in (0.0, 1.0)
    )
    names = [type(transform).__name__ for transform in more.transforms]
    assert names[:2] == ["RandBranchContrastd", "RandImplantsd"]
    assert names[2:] == [type(transform).__name__ for transform in usual.transforms]
    for transform in more.transforms[2:]:
        transform.prob = 0.0
    item = more(_item())
    assert torch.equal(item["label"], _item()["label"])
    assert not torch.equal(item["image"], _item()["image"])
