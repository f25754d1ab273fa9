"""Patience is counted across a resumed run, as MONAI's own handler counts it in one run."""

from __future__ import annotations

import pytest

from monai_lora_sam.handlers import read_history

SCORES = [0.5, 0.4, 0.6, 0.3, 0.2, 0.1, 0.7, 0.8, 0.9, 1.0]


def test_stops_when_patience_is_at_its_end(make_run):
    run = make_run(epochs=10, scores=SCORES, patience=3)
    run.trainer.run()
    assert run.trainer.state.epoch == 6  # best in epoch 3, then three that are worse


@pytest.mark.parametrize("first", [2, 4, 5])
def test_best_score_and_patience_survive(make_run, first: int):
    make_run(epochs=first, scores=SCORES, patience=3).trainer.run()
    again = make_run(epochs=10, scores=SCORES[first:], patience=3)
    again.trainer.run()
    assert again.trainer.state.epoch == 6


def test_a_run_that_had_stopped_trains_no_further(make_run):
    run = make_run(epochs=10, scores=SCORES, patience=3)
    run.trainer.run()
    again = make_run(epochs=10, scores=SCORES[6:], patience=3)
    again.trainer.run()
    assert again.trainer.state.epoch == 6
    assert len(read_history(again.folder / "history.jsonl")) == 6
    longer = make_run(epochs=8, scores=SCORES[6:], patience=5)
    longer.trainer.run()
    assert longer.trainer.state.epoch == 8  # more patience was asked for
