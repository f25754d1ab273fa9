"""The data set of a bundle: in memory or with stored features, and batches of both."""

from __future__ import annotations

import sys

import pytest
import torch
from monai.data import CacheDataset
from monai.transforms import Compose, EnsureTyped
from torch import Tensor, nn

from monai_lora_sam.data import FeatureDataset, PrepareBatchFeatures, training_items


class Halver(nn.Module):
    """Stand for a stage's network: the features of an image are its half."""

    strategy, head_reads_image, fixed_blocks = "frozen", False, None

    def read(self, image: Tensor, view: Tensor | None = None) -> Tensor:
        assert not self.training
        return image / 2


@pytest.fixture
def entries() -> list[dict]:
    return [{"image": torch.full((3, 4, 4), float(number)), "label": number} for number in range(3)]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Halver:
    module = sys.modules[training_items.__module__]
    monkeypatch.setattr(module, "feature_identity", lambda network: {"encoder": "aaaa"})
    return Halver()


TRANSFORM = Compose([EnsureTyped("image")])


def test_without_a_feature_cache_it_is_monais_data_set(entries, network):
    items = training_items(entries, TRANSFORM, network, progress=False)
    assert type(items) is CacheDataset and "features" not in items[0]
    assert torch.equal(torch.as_tensor(items[1]["image"]), entries[1]["image"])


def test_features_are_stored_and_training_mode_comes_back(entries, network, tmp_path):
    options = {"feature_cache": True, "feature_cache_dir": tmp_path, "progress": False}
    items = training_items(entries, TRANSFORM, network, **options)
    assert isinstance(items, FeatureDataset) and network.training
    assert "image" not in items[2] and torch.equal(items[2]["features"].float(), entries[2]["image"] / 2)
    network.head_reads_image = True
    assert "image" in training_items(entries, TRANSFORM, network, **options)[0]


def test_a_strategy_that_moves_the_features_is_refused(entries, network, tmp_path):
    network.strategy, network.fixed_blocks = "lora", 0
    with pytest.raises(ValueError, match=r"feature_cache: expected strategy 'frozen'.*found 'lora'"):
        training_items(entries, TRANSFORM, network, feature_cache=True, feature_cache_dir=tmp_path)


@pytest.mark.parametrize("levels", [1, 2])
def test_stored_features_reach_the_network_in_float32(levels):
    stored = [torch.ones(2, 3, 4, 4, dtype=torch.float16)] * levels
    batch = {
        "label": torch.zeros(2),
        "view": torch.zeros(2, 2),
        "features": stored if levels > 1 else stored[0],
    }
    image, label, _, named = PrepareBatchFeatures(extra_keys={"view": "view"})(batch, "cpu")
    assert image is None and torch.equal(label, batch["label"]) and torch.equal(named["view"], batch["view"])
    found = named["features"] if levels > 1 else [named["features"]]
    assert len(found) == levels and all(level.dtype == torch.float32 for level in found)


def test_a_batch_without_features_is_monais():
    batch = {"image": torch.ones(2, 3, 4, 4), "label": torch.zeros(2), "view": torch.zeros(2, 2)}
    image, _, _, named = PrepareBatchFeatures(extra_keys={"view": "view"})(batch, "cpu")
    assert torch.equal(image, batch["image"]) and set(named) == {"view"}
