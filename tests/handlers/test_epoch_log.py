"""The history file and the console."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from monai_lora_sam.handlers import EpochLog, read_history


def make_trainer(losses: list[float]) -> Engine:
    trainer = Engine(lambda engine, batch: {"loss": torch.tensor(losses[engine.state.iteration - 1])})
    trainer.optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.25)
    return trainer


def test_a_line_an_epoch(tmp_path: Path, capsys: pytest.CaptureFixture):
    trainer = make_trainer([1.0, 3.0, 0.5, 1.5])
    EpochLog(tmp_path / "a" / "history.jsonl").attach(trainer)
    trainer.run([0, 1], max_epochs=2)
    lines = read_history(tmp_path / "a" / "history.jsonl")
    assert [(line["epoch"], line["loss"], line["learning_rate"]) for line in lines] == [
        (1, 2, 0.25),
        (2, 1, 0.25),
    ]
    assert all(line["seconds"] >= 0 and line["cpu_seconds"] >= 0 for line in lines)
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "history.jsonl"]
    printed = capsys.readouterr().out
    assert re.search(r"epoch 1/2  loss 2\.0000  \(0 s, 0 s left\)", printed)
    assert re.search(r"epoch 2/2  loss 1\.0000  \(0 s\)", printed)


def test_silent(tmp_path: Path, capsys: pytest.CaptureFixture):
    trainer = make_trainer([1.0])
    EpochLog(tmp_path / "history.jsonl", show=False).attach(trainer)
    trainer.run([0], max_epochs=1)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "") and len(read_history(tmp_path / "history.jsonl")) == 1


def test_scores_of_this_epoch_only(tmp_path: Path):
    evaluator = Engine(lambda *_: None)
    evaluator.state.epoch, evaluator.state.metrics = 2, {"val_dice": torch.tensor(0.5)}
    trainer = make_trainer([1.0, 1.0, 1.0])
    EpochLog(tmp_path / "history.jsonl", evaluator, show=False).attach(trainer)
    trainer.run([0], max_epochs=3)
    assert [line.get("val_dice") for line in read_history(tmp_path / "history.jsonl")] == [None, 0.5, None]


def test_lines_that_an_interrupted_run_left_are_replaced(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    for losses in ([1.0, 2.0, 3.0], [4.0, 5.0]):
        trainer = make_trainer(losses)
        EpochLog(path, show=False).attach(trainer)
        trainer.run([0], max_epochs=len(losses))
    assert [(line["epoch"], line["loss"]) for line in read_history(path)] == [(1, 4.0), (2, 5.0)]


def test_no_history_yet(tmp_path: Path):
    assert read_history(tmp_path / "none.jsonl") == []
