"""Items with stored features: computed once, augmented beforehand, gone on with after a kill."""

from __future__ import annotations

import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, RandFlipd, RandGaussianNoised
from PIL import Image

from monai_lora_sam.coronary.transforms import LoadAngiogramd, ViewToTensord
from monai_lora_sam.data import FeatureCache, FeatureDataset
from monai_lora_sam.transforms import GreyToThreeChannelsd

IDENTITY = {"encoder": "aaaa"}


class Reader:
    """Halve the image and count how many were read."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, image: torch.Tensor, view: torch.Tensor | None) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        assert view is not None and view.shape == (len(image), 2)
        self.batches.append(len(image))
        return image / 2

    @property
    def count(self) -> int:
        return sum(self.batches)


@pytest.fixture
def entries(tmp_path: Path) -> list[dict[str, Any]]:
    return [draw(tmp_path / f"{index}.png", index) for index in range(5)]


def draw(path: Path, seed: int) -> dict[str, Any]:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return {"image": str(path), "number": seed}


def transform(random: bool = False) -> Compose:
    steps: list[Any] = [LoadAngiogramd("image")]
    if random:
        steps.append(Compose([RandFlipd("image", 0.5, 0), RandGaussianNoised("image", 1.0)]))
    return Compose([*steps, GreyToThreeChannelsd("image"), ViewToTensord()])


def make(entries: list[dict[str, Any]], folder: Path, reader: Any, **more: Any) -> FeatureDataset:
    cache = FeatureCache.under(folder, IDENTITY)
    more = {"transform": transform(), "progress": False, "batch_size": 2} | more
    return FeatureDataset(entries, cache=cache, read=reader, condition_keys=["view"], **more)


def test_features_take_the_place_of_the_image(entries, tmp_path):
    items = make(entries, tmp_path / "features", Reader())
    assert len(items) == 5
    for index, item in enumerate(items):
        assert "image" not in item and item["number"] == index
        expected = np.asarray(Image.open(entries[index]["image"]), np.float32) / 255 / 2
        np.testing.assert_array_equal(item["features"][1].numpy(), expected.astype(np.float16))


def test_are_computed_once(entries, tmp_path):
    first, second = Reader(), Reader()
    made = make(entries, tmp_path / "features", first, shard_bytes=1)
    again = make(entries, tmp_path / "features", second, cache_rate=0.0)
    assert first.batches == [2, 2, 1] and second.count == 0
    for one, other in zip(made, again, strict=True):
        assert torch.equal(one["features"], other["features"]) and one["number"] == other["number"]


def test_a_changed_image_is_read_anew(entries, tmp_path):
    make(entries, tmp_path / "features", Reader())
    draw(Path(entries[3]["image"]), 99)
    reader = Reader()
    items = make(entries, tmp_path / "features", reader)
    assert reader.count == 1
    pixels = np.asarray(Image.open(entries[3]["image"]), np.float32) / 255 / 2
    np.testing.assert_array_equal(items[3]["features"][0].numpy(), pixels.astype(np.float16))


def test_an_image_that_occurs_twice_is_read_once(entries, tmp_path):
    reader = Reader()
    items = make([*entries, {**entries[0], "number": 9}], tmp_path / "features", reader)
    assert reader.count == 5 and items[5]["number"] == 9
    assert torch.equal(items[0]["features"], items[5]["features"])


def test_a_pyramid_collates_level_by_level_beside_the_image(entries, tmp_path):
    def read(image, view):
        return [image, image[:, :1, ::2, ::2]]

    items = make(entries, tmp_path / "features", read, keep_image=True)
    for workers in (0, 1):
        batch = next(iter(DataLoader(items, batch_size=3, num_workers=workers)))
        assert batch["image"].shape == (3, 3, 8, 8)
        assert [tuple(level.shape) for level in batch["features"]] == [(3, 3, 8, 8), (3, 1, 4, 4)]
        assert torch.equal(batch["features"][0], batch["image"].half())


def test_images_of_several_sizes(entries, tmp_path):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(entries[1]["image"])
    reader = Reader()
    items = make(entries, tmp_path / "features", reader, batch_size=4)
    assert items[1]["features"].shape == (3, 4, 6) and items[2]["features"].shape == (3, 8, 8)
    assert reader.batches == [1, 1, 3]


def test_processes_of_a_distributed_run_share_the_work(entries, tmp_path, monkeypatch):
    rank, readers = [0], [Reader(), Reader()]

    def barrier() -> None:
        """The second process comes here, too; in the test it starts only now."""
        if rank == [0]:
            rank[0] = 1
            make(entries, tmp_path / "features", readers[1])
            rank[0] = 0

    monkeypatch.setattr(idist, "get_world_size", lambda: 2)
    monkeypatch.setattr(idist, "get_rank", lambda: rank[0])
    monkeypatch.setattr(idist, "barrier", barrier)
    items = make(entries, tmp_path / "features", readers[0])
    assert readers[0].count and readers[1].count and readers[0].count + readers[1].count == 5
    assert all(item["features"].shape == (3, 8, 8) for item in items)


# ---- augmented variants ----------------------------------------------------------------------------------------


def all_variants(items: FeatureDataset, index: int) -> list[torch.Tensor]:
    return [items.cache[items._keys[copy * len(items) + index]] for copy in range(items.variants + 1)]


def test_variants_differ_and_are_the_same_in_any_order(entries, tmp_path):
    reader = Reader()
    items = make(entries, tmp_path / "features", reader, transform=transform(True), variants=2)
    plain = make(entries, tmp_path / "plain", Reader())
    assert len(items) == 5 and reader.count == 15
    for index in range(5):
        variants = all_variants(items, index)
        assert torch.equal(variants[0], plain[index]["features"])
        assert len({copy.numpy().tobytes() for copy in variants}) == 3
    again = Reader()
    turned = make(entries[::-1], tmp_path / "features", again, transform=transform(True), variants=2)
    assert again.count == 0
    assert torch.equal(all_variants(turned, 0)[1], all_variants(items, 4)[1])
    other_seed = Reader()
    make(entries, tmp_path / "features", other_seed, transform=transform(True), variants=2, seed=1)
    assert other_seed.count == 10


def test_which_copy_is_drawn_follows_the_seed_alone(entries, tmp_path):
    items = make(entries, tmp_path / "features", Reader(), transform=transform(True), variants=3)
    drawn = []
    for seed in (1, 1, 2):
        items.set_random_state(seed)
        drawn.append([item["features"] for _ in range(4) for item in items])
    same = [torch.equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True)]
    other = [torch.equal(a, b) for a, b in zip(drawn[0], drawn[2], strict=True)]
    assert all(same) and not all(other)
    assert len({feature.numpy().tobytes() for feature in drawn[0][::5]}) > 1


def test_variants_not_kept_in_memory_are_made_the_same_again(entries, tmp_path):
    kept, made = (
        make(
            entries,
            tmp_path / "features",
            Reader(),
            transform=transform(True),
            variants=2,
            keep_image=True,
            cache_rate=rate,
        )
        for rate in (1.0, 0.0)
    )
    for items in (kept, made):
        items.set_random_state(3)
    for one, other in zip(kept, made, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["features"], (one["image"] / 2).half())


# ---- kills and bad input -----------------------------------------------------------------------------------------


def test_a_killed_fill_goes_on_where_it_was(entries, tmp_path):
    """Killed after some shards: those are kept, the rest is read, and the result is that of one run."""

    class Slow(Reader):
        def __call__(self, image, view):
            if self.count >= 2:
                waiting.touch()
                time.sleep(60)
            return super().__call__(image, view)

    waiting = tmp_path / "waiting"
    more = {"shard_bytes": 1, "batch_size": 1}
    process = multiprocessing.get_context("fork").Process(
        target=make, args=(entries, tmp_path / "features", Slow()), kwargs=more
    )
    process.start()
    while not waiting.exists() and process.is_alive():
        time.sleep(0.02)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    reader = Reader()
    items = make(entries, tmp_path / "features", reader)
    assert reader.count == 3
    straight = make(entries, tmp_path / "straight", Reader())
    for one, other in zip(items, straight, strict=True):
        assert torch.equal(one["features"], other["features"])


def test_a_damaged_shard_stops_the_run_before_it_trains(entries, tmp_path):
    items = make(entries, tmp_path / "features", Reader())
    path = next(items.cache.folder.glob("shards/*/features.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="half written or was changed"):
        make(entries, tmp_path / "features", Reader())
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()
    reader = Reader()
    make(entries, tmp_path / "features", reader)  # what the message advised
    assert reader.count == 5


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "NaN"), (1e6, "float16's range")])
def test_features_out_of_range_name_the_image(value, message, entries, tmp_path):
    def read(image, view):
        features = image.clone()
        features[-1, 0, 0, 0] = value
        return features

    with pytest.raises(ValueError, match=message) as caught:
        make(entries, tmp_path / "features", read)
    assert str(caught.value).startswith(entries[1]["image"])


def test_no_images(tmp_path):
    with pytest.raises(ValueError, match="expected images to read features of, found none"):
        make([], tmp_path / "features", Reader())


def test_negative_variants(entries, tmp_path):
    with pytest.raises(ValueError, match="variants: expected 0 or more, found -1"):
        make(entries, tmp_path / "features", Reader(), variants=-1)


def test_a_disk_that_is_too_small(entries, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(ValueError, match=r"GB of free disk for the features, found 0\.0 GB"):
        make(entries, tmp_path / "features", Reader())


# ---- conditions --------------------------------------------------------------------------------------------------


def test_conditions_reach_the_network_by_name(tmp_path: Path):
    entries = [{"image": torch.full((3, 2, 2), float(n)), "age": torch.tensor(n)} for n in range(3)]
    entries.append({"image": torch.full((3, 2, 2), 3.0)})
    calls = []

    def read(image: torch.Tensor, age: torch.Tensor | None, view: torch.Tensor | None) -> torch.Tensor:
        calls.append(age if age is None else age.tolist())
        assert view is None
        return image

    cache = FeatureCache.under(tmp_path, IDENTITY)
    options = {"batch_size": 8, "progress": False}
    FeatureDataset(entries, Compose([]), cache, read, condition_keys=["view", "age"], **options)
    assert calls == [[0, 1, 2], None], "an image whose age is unknown is read apart"


def test_a_network_without_conditions_reads_images_alone(tmp_path: Path):
    entries = [{"image": torch.ones(3, 2, 2), "view": torch.zeros(2)}]
    cache = FeatureCache.under(tmp_path, IDENTITY)
    items = FeatureDataset(entries, Compose([]), cache, lambda image: image / 2, progress=False)
    assert items[0]["features"].unique().tolist() == [0.5]
