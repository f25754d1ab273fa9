"""Largest batches and changes that fit."""

from __future__ import annotations

import pytest

from monai_lora_sam.memory import (
    StepConfiguration,
    StepMemory,
    advise,
    as_markdown,
    compare_savings,
    fits,
    largest_batch,
    needed_gib,
    parse_gpu,
    recommend,
    recommendation,
    savings,
    savings_as_markdown,
)

TINY = StepConfiguration("tiny", 112)


def test_the_largest_batch_fits_and_the_next_does_not():
    memory = StepMemory(TINY)
    batch = largest_batch(memory, 2.0)
    assert batch > 1
    assert fits(memory.predict(batch), 2.0)
    assert not fits(memory.predict(batch + 1), 2.0)


def test_nothing_fits_a_card_smaller_than_the_context():
    assert largest_batch(StepMemory(TINY), 0.4) == 0


def test_changes_that_fit_come_first_and_keep_the_training():
    batch = largest_batch(StepMemory(TINY), 2.0) + 1
    changes = advise(StepConfiguration("tiny", 112, batch), 2.0)
    assert changes[0].words == f"batch {batch - 1}"
    assert changes[0].fits and changes[0].same_training
    assert [c.fits for c in changes] == sorted((c.fits for c in changes), reverse=True)
    checkpointing = next(c for c in changes if c.words == "checkpointing")
    assert 0.6 < checkpointing.speed < 0.9
    assert checkpointing.prediction.overrides()["gradient_checkpointing"] is True


def test_changes_are_listed_even_where_none_fits():
    changes = advise(StepConfiguration("tiny", 112, 64), 0.6)
    assert changes and not any(c.fits for c in changes)


@pytest.mark.parametrize(("text", "size"), [("8GB", 8), ("24 gb", 24), ("12", 12), ("1.5GiB", 1.5)])
def test_sizes_of_gpus(text, size):
    assert parse_gpu(text) == size


@pytest.mark.parametrize("text", ["", "H100", "0GB", "8TB", "-8GB", "9999GB"])
def test_unknown_sizes_of_gpus_are_refused(text):
    with pytest.raises(ValueError, match="expected a size from 1GB to 1024GB"):
        parse_gpu(text)


def test_a_card_needs_room_beyond_the_peak():
    assert needed_gib(5.0) == pytest.approx(6.0)


def test_the_table_grows_with_the_cards(monkeypatch):
    ways = {way: recommendation.WAYS[way] for way in ("LoRA", "frozen")}
    monkeypatch.setattr(recommendation, "WAYS", ways)
    rows = recommend("tiny", 112, cards=(1, 2))
    assert all(rows[1].batches[way] >= rows[0].batches[way] for way in rows[0].batches)
    assert as_markdown(rows).count("\n") == 3
    assert f"**{rows[0].batches['LoRA']}**" in as_markdown(rows)


def test_the_fewer_blocks_train_the_less_it_takes(monkeypatch):
    ways = {
        "LoRA": {"base": "bfloat16"},
        "last": {"base": "bfloat16", "layers": 2},
        "cached": {"base": "bfloat16", "layers": 2, "feature_cache": True},
        "full": {"strategy": "full"},
    }
    monkeypatch.setattr(savings, "SAVINGS", ways)
    rows = compare_savings("tiny", 112, "segmentation")
    assert [row.way for row in rows[::2]] == list(ways) and rows[1].way == "LoRA, checkpointing"
    plain = dict(zip(ways, rows[::2], strict=True))
    assert plain["cached"].speed > plain["last"].speed > plain["LoRA"].speed > plain["full"].speed == 1.0
    assert plain["last"].peak_gib < plain["LoRA"].peak_gib < plain["full"].peak_gib
    assert savings_as_markdown(rows).count("\n") == len(rows) + 1


@pytest.mark.parametrize("more", [{}, {"strategy": "full"}, {"strategy": "frozen", "training": False}])
def test_a_feature_cache_for_what_it_cannot_hold_is_refused(more):
    with pytest.raises(
        ValueError, match="feature cache: expected a training with strategy frozen, or lora in"
    ):
        StepConfiguration("tiny", 112, feature_cache=True, **more)


def test_lora_in_the_last_blocks_is_advised():
    changes = advise(StepConfiguration("tiny", 112, 64), 0.6)
    change = next(c for c in changes if "last 1 blocks" in c.words)
    assert not change.same_training and change.speed > 1.3
    settings = change.prediction.overrides()
    assert settings["feature_cache"] is True and settings["lora::layers"] == 1
