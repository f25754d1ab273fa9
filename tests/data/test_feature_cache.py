"""Stored features: what comes back, what is kept after a kill, and what is refused."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from monai_lora_sam.data import FeatureCache, image_key

IDENTITY = {"encoder": "aaaa", "adapters of vessels": "vessels 1111", "head of vessels": "cccc"}


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    cache = FeatureCache(tmp_path / "features", IDENTITY)
    cache.add({"a": torch.linspace(-3, 3, 24).reshape(2, 3, 4), "b": torch.ones(2, 3, 4)})
    cache.add({"c": [torch.full((1, 4, 4), 0.1), torch.full((1, 2, 2), 7.0)]})
    return cache


def shards(cache: FeatureCache) -> list[Path]:
    return sorted((cache.folder / "shards").iterdir())


def test_gives_back_what_numpy_makes_of_it_in_float16(cache: FeatureCache):
    again = FeatureCache(cache.folder, IDENTITY)
    assert len(again) == 3 and "a" in again and "d" not in again
    expected = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4).astype(np.float16)
    assert again["a"].dtype == torch.float16
    np.testing.assert_array_equal(again["a"].numpy(), expected)
    assert [level.flatten()[0].item() for level in again["c"]] == [np.float16(0.1), 7.0]


def test_files_are_plain_safetensors(cache: FeatureCache):
    names = {name for shard in shards(cache) for name in load_file(shard / "features.safetensors")}
    assert names == {"a", "b", "c.0", "c.1"}
    assert json.loads((cache.folder / "identity.json").read_text())["encoder"] == "aaaa"


def test_survives_a_trip_to_another_process(cache: FeatureCache):
    cache["a"]
    assert torch.equal(pickle.loads(pickle.dumps(cache))["b"], cache["b"])


def test_absent_image(cache: FeatureCache):
    with pytest.raises(KeyError, match="no features of the image d"):
        cache["d"]


def test_finds_what_another_process_wrote(cache: FeatureCache):
    other = FeatureCache(cache.folder, IDENTITY)
    cache.add({"d": torch.zeros(1)})
    assert "d" not in other
    other.refresh()
    assert torch.equal(other["d"], torch.zeros(1, dtype=torch.float16))


# ---- another network -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDENTITY)
def test_a_cache_of_another_network_is_refused(name: str, cache: FeatureCache):
    with pytest.raises(ValueError, match=f"{name}: expected other, found {IDENTITY[name]}") as caught:
        FeatureCache(cache.folder, {**IDENTITY, name: "other"})
    assert str(cache.folder / "identity.json") in str(caught.value)


def test_one_more_adapter_is_another_network(cache: FeatureCache):
    with pytest.raises(ValueError, match="adapters of segments: expected 2222, found none"):
        FeatureCache(cache.folder, {**IDENTITY, "adapters of segments": "2222"})


def test_under_one_root_each_network_has_its_own(tmp_path: Path):
    first = FeatureCache.under(tmp_path, IDENTITY)
    first.add({"a": torch.zeros(1)})
    assert "a" not in FeatureCache.under(tmp_path, {**IDENTITY, "encoder": "bbbb"})
    assert "a" in FeatureCache.under(tmp_path, dict(reversed(IDENTITY.items())))


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "photo.png").touch()
    with pytest.raises(ValueError, match="expected a feature cache or an empty folder"):
        FeatureCache(tmp_path, IDENTITY)


def test_a_shard_from_another_cache_is_refused(cache: FeatureCache, tmp_path: Path):
    other = FeatureCache(tmp_path / "other", {**IDENTITY, "encoder": "bbbb"})
    other.add({"a": torch.zeros(1)})
    shards(other)[0].rename(cache.folder / "shards" / "moved")
    with pytest.raises(ValueError, match=r"moved/index.json: expected a shard of this cache"):
        FeatureCache(cache.folder, IDENTITY)


# ---- damage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["half written", "flipped", "gone"])
def test_a_damaged_shard_is_one_error_that_names_the_file(how: str, cache: FeatureCache):
    shard = cache._shard_of["a"]
    path = shard / "features.safetensors"
    content = bytearray(path.read_bytes())
    if how == "half written":
        path.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        content[-5] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    again = FeatureCache(cache.folder, IDENTITY)
    for attempt in (again.verify, lambda: again["b"]):
        with pytest.raises(ValueError, match="found none" if how == "gone" else "expected SHA-256") as caught:
            attempt()
        assert str(path) in str(caught.value) and f"Delete the folder {shard}" in str(caught.value)
    assert again["c"]  # in the other shard
    again.verify(["c"])


@pytest.mark.parametrize("text", ["{", "[]", '{"images": {}}'])
def test_a_damaged_index_is_one_error(text: str, cache: FeatureCache):
    path = shards(cache)[0] / "index.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="expected") as caught:
        FeatureCache(cache.folder, IDENTITY)
    assert str(path) in str(caught.value)


def test_what_a_killed_writer_left_is_not_there(cache: FeatureCache):
    """Before its folder is renamed a shard has a hidden name; one without an index was never finished."""
    for name in (".0123456789abcdef.saving.host.1.x", "0123456789abcdef"):
        left = cache.folder / "shards" / name
        left.mkdir()
        (left / "features.safetensors").write_bytes(b"half")
    assert len(FeatureCache(cache.folder, IDENTITY)) == 3


# ---- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "expected finite features, found NaN or infinity"),
        (-math.inf, "expected finite features"),
        (70000.0, "float16's range of ±65504, found 70000"),
    ],
)
def test_numbers_that_float16_cannot_hold(value: float, message: str, cache: FeatureCache):
    features = torch.zeros(2, 3)
    features[1, 2] = value
    with pytest.raises(ValueError, match=message):
        cache.add({"good": torch.zeros(1), "bad": [torch.zeros(1), features]})
    assert "good" not in FeatureCache(cache.folder, IDENTITY)


def test_an_empty_shard(cache: FeatureCache):
    with pytest.raises(ValueError, match="at least one image, found none"):
        cache.add({})


# ---- keys --------------------------------------------------------------------------------------------------------


def test_a_key_follows_pixels_shape_and_conditions():
    image = torch.rand(3, 4, 6)
    changed = image.clone()
    changed[2, 3, 5] += 1e-6
    view = torch.tensor([30.0, math.nan])
    keys = [
        image_key(image),
        image_key(changed),
        image_key(image.reshape(3, 6, 4)),
        image_key(image, {"view": view}),
        image_key(image, {"view": torch.tensor([30.0, 0.0])}),
        image_key(image, {"view": view, "age": torch.tensor(60)}),
        image_key(image, {"view": view, "age": None}),
    ]
    assert len(set(keys)) == len(keys)
    assert (
        image_key(image.clone().to(memory_format=torch.contiguous_format), {"view": view.clone()}) == keys[3]
    )
    assert image_key(image, {"age": torch.tensor(60), "view": view}) == keys[5], "whatever their order"


@pytest.mark.parametrize(
    ("angles", "expected"),
    [([30.5, math.nan], "[30.5, nan]"), ([30.0, -20.25], "[30.0, -20.25]"), (None, "None")],
)
def test_keys_of_views_are_those_of_caches_on_disk(angles: list[float] | None, expected: str):
    image = torch.arange(24.0).reshape(3, 2, 4)
    view = None if angles is None else torch.tensor(angles)
    digest = hashlib.sha256(f"(3, 2, 4)|{expected}|".encode() + image.numpy().tobytes()).hexdigest()
    assert image_key(image, {"view": view}) == digest
    assert (image_key(image) == digest) == (view is None)
