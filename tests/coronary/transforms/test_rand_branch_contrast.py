"""Weak filling of labelled vessels: the contrast that is left, its border, its pieces, seeds, empty labels."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

from monai_lora_sam.coronary.transforms import RandBranchContrastd
from monai_lora_sam.coronary.transforms.rand_branch_contrast import vessel_pieces


def straight() -> dict[str, torch.Tensor]:
    """Return a vessel of grey 0.4 on 0.8: one piece."""
    label = torch.zeros(1, 80, 80)
    label[:, 37:43, 8:72] = 1
    return {"image": torch.where(label > 0, 0.4, 0.8), "label": label}


def cross() -> torch.Tensor:
    label = torch.zeros(1, 96, 96)
    label[:, 45:51, 6:90] = 1
    label[:, 6:90, 45:51] = 1
    return label


def test_the_share_of_contrast_that_is_left_is_one_for_the_piece():
    kept = []
    for seed in range(8):
        weak = RandBranchContrastd("image", prob=1.0).set_random_state(seed)(straight())
        image = weak["image"][0].numpy()
        middle = image[38:42, 12:68]
        contrast = (0.8 - middle) / 0.4
        assert np.ptp(contrast) < 0.02
        kept.append(float(contrast.mean()))
        assert torch.equal(weak["label"], straight()["label"])
        np.testing.assert_allclose(image[:30], 0.8, atol=1e-6)  # away from the vessel
        assert image.min() >= 0.4 - 1e-6 and image.max() <= 0.8 + 1e-6
    assert min(kept) > 0.19 and max(kept) < 0.71 and np.ptp(kept) > 0.2


def test_the_border_is_smooth_over_a_dark_rim():
    """Outside the mask the change is whole for 2 pixels and gone from 5 on."""
    item = straight()
    item["image"] = torch.where(torch.nn.functional.max_pool2d(item["label"], 13, 1, 6) > 0, 0.4, 0.8)
    image = RandBranchContrastd("image", prob=1.0).set_random_state(0)(item)["image"][0, :, 40].numpy()
    change = image[43:49] - 0.4  # at distances of 1 to 6 pixels from the mask
    np.testing.assert_allclose(change / change[1], [1, 1, 2 / 3, 1 / 3, 0, 0], atol=0.06)
    assert change[1] > 0.02


def test_the_level_of_noise_stays():
    item = straight()
    noise = 0.02 * torch.randn(1, 80, 80, generator=torch.Generator().manual_seed(0))
    item["image"] = item["image"] + noise
    for seed in range(4):
        image = RandBranchContrastd("image", prob=1.0).set_random_state(seed)(item)["image"][0].numpy()
        inside, outside = image[38:42, 12:68], image[:20]
        assert 0.75 < inside.std() / outside.std() < 1.25


def test_pieces_end_at_bifurcations():
    pieces, count = vessel_pieces(cross()[0].numpy() > 0)
    assert count == 4
    ends = {int(pieces[48, 10]), int(pieces[48, 85]), int(pieces[10, 48]), int(pieces[85, 48])}
    assert len(ends) == 4 and 0 not in ends
    assert set(np.unique(pieces)) == {0, 1, 2, 3, 4}
    assert vessel_pieces(np.zeros((8, 8), bool))[1] == 0


def test_some_pieces_keep_their_contrast():
    label = cross()
    shares = []
    for seed in range(12):
        item = {"image": torch.where(label > 0, 0.4, 0.8), "label": label}
        image = RandBranchContrastd("image", prob=1.0).set_random_state(seed)(item)["image"][0]
        places = image[48, 12], image[48, 84], image[12, 48], image[84, 48]
        shares += [float((0.8 - grey) / 0.4) for grey in places]
    weak = np.array(shares) < 0.75
    assert 0.3 < weak.mean() < 0.75
    np.testing.assert_allclose(np.array(shares)[~weak], 1.0, atol=0.02)


def test_equal_seeds_are_equal_and_no_vessel_is_no_change():
    one, same, other = (RandBranchContrastd("image", prob=1.0).set_random_state(s) for s in (1, 1, 2))
    first, again, another = (draw(straight())["image"] for draw in (one, same, other))
    assert torch.equal(first, again) and not torch.equal(first, another)
    empty = {"image": torch.rand(1, 40, 40), "label": torch.zeros(1, 40, 40)}
    assert torch.equal(one(empty)["image"], empty["image"])
    assert torch.equal(RandBranchContrastd("image", prob=0.0)(straight())["image"], straight()["image"])


def test_the_kind_of_tensor_stays():
    item = {key: MetaTensor(tensor, meta={"of": key}) for key, tensor in straight().items()}
    image = RandBranchContrastd("image", prob=1.0).set_random_state(0)(item)["image"]
    assert isinstance(image, MetaTensor) and image.meta["of"] == "image" and image.dtype == torch.float32
