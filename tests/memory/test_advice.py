"""Largest batches and changes that fit."""

from __future__ import annotations

import pytest

from monai_lora_sam.memory import (
    StepConfiguration,
    StepMemory,
    advise,
    as_markdown,
    fits,
    largest_batch,
    needed_gib,
    parse_gpu,
    recommend,
    recommendation,
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
