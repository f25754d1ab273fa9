"""Parts of the inference chain: the network of one tensor, the inferer of all stages, the refined map."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer, SlidingWindowInferer

from monai_lora_sam.coronary.networks import LumenRefiner
from monai_lora_sam.coronary.pipeline import (
    LastStage,
    RefineVesselMapd,
    StageNetworks,
    StagesInferer,
    refine_map,
)

IMAGE = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (2, 26), (3, 1)])
def test_the_network_gives_the_map_of_its_last_stage(stages: SimpleNamespace, count: int, channels: int):
    folders = [stages.vessels, stages.segments, stages.stenosis][:count]
    networks = StageNetworks.load(*folders, pretrained=stages.base).eval()
    with torch.inference_mode():
        found, outputs = LastStage(networks)(IMAGE), networks(IMAGE)
        everything = StagesInferer()(IMAGE, LastStage(networks))
    assert found.shape[:2] == (1, channels)
    assert list(everything) == ["vessels", "segments", "lesions"][:count]
    assert torch.equal(everything["vessels"], outputs.vessels)
    if count == 3:
        assert torch.equal(found, everything["lesions"]["heatmap"])
    else:
        assert torch.equal(found, list(everything.values())[-1])


def test_tiles_find_the_vessels_at_the_images_own_size(stages: SimpleNamespace):
    networks = StageNetworks.load(stages.vessels, stages.segments, pretrained=stages.base).eval()
    tiles = SlidingWindowInferer((56, 56), 1, 0.5, mode="gaussian")
    picture = torch.randn(1, 3, 80, 70)
    with torch.inference_mode():
        found = StagesInferer(tiles)(IMAGE, LastStage(networks), picture=picture)
        expected = tiles(picture, networks.vessels, view=None)
    assert torch.equal(found["vessels"], expected) and found["segments"].shape == (1, 26, 56, 56)
    with pytest.raises(ValueError, match="expected the picture at its own size"):
        StagesInferer(tiles)(IMAGE, LastStage(networks))


@pytest.mark.parametrize("tiled", [False, True])
def test_with_flip_the_vessels_are_the_mean_with_the_mirror_image(stages: SimpleNamespace, tiled: bool):
    networks = StageNetworks.load(stages.vessels, stages.segments, pretrained=stages.base).eval()
    tiles = SlidingWindowInferer((56, 56), 1, 0.5, mode="gaussian") if tiled else None
    picture = torch.randn(1, 3, 80, 70)
    view, opposite = torch.tensor([[30.0, -20.0]]), torch.tensor([[-30.0, -20.0]])
    with torch.inference_mode():
        found = StagesInferer(tiles, flip=True)(IMAGE, LastStage(networks), view=view, picture=picture)
        seen = picture if tiled else IMAGE
        run = tiles or SimpleInferer()
        straight = run(seen, networks.vessels, view=view)
        mirrored = run(seen.flip(3), networks.vessels, view=opposite).flip(3)
        usual = StagesInferer(tiles)(IMAGE, LastStage(networks), view=view, picture=picture)
    torch.testing.assert_close(found["vessels"], (straight + mirrored) / 2)
    assert torch.equal(found["segments"], usual["segments"])
    assert not torch.equal(found["vessels"], usual["vessels"])


def test_the_refined_map_is_that_of_the_refiner():
    refiner = LumenRefiner((4, 4, 4, 4, 4, 4)).eval()
    rng = np.random.default_rng(0)
    pixels, found = rng.random((2, 40, 50), dtype=np.float32)
    item = {"angiogram": MetaTensor(pixels[None]), "pred": MetaTensor(found[None])}
    result = RefineVesselMapd("pred", refiner)(item)["pred"]
    np.testing.assert_array_equal(result[0].numpy(), refine_map(refiner, pixels, found))


def test_without_a_refiner_the_map_is_clipped():
    item = {"pred": torch.tensor([[[-0.25, 0.5, 1.5]]])}
    assert RefineVesselMapd("pred", None)(item)["pred"].tolist() == [[[0.0, 0.5, 1.0]]]
