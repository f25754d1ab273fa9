"""The best stage and the last one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from monai_lora_sam.adapters import read_card
from monai_lora_sam.handlers import StageSaver
from monai_lora_sam.stages import load_stage

CARD = {"task": "vessels", "class_names": ["vessel"], "training_data": "nothing"}


@pytest.fixture
def make_saver(random_segmenter, tmp_path: Path):
    network = random_segmenter("frozen")
    return lambda: StageSaver(network, tmp_path, "val_dice", CARD)


def validate(saver: StageSaver, epoch: int, score: float) -> None:
    """Do as an evaluator does at its end, with the epoch's number in the head's bias as a mark."""
    with torch.no_grad():
        saver.network.head.classify.bias.fill_(epoch)
    evaluator = Engine(lambda *_: None)
    evaluator.state.epoch, evaluator.state.metrics = epoch, {"val_dice": torch.tensor(score), "other": 2.0}
    saver(evaluator)


def saved(folder: Path) -> tuple[int, float]:
    card = read_card(folder)
    return card["epoch"], round(card["metrics"]["val_dice"], 6)


def test_best_only_improves_and_last_follows(make_saver, tmp_path: Path, random_encoder):
    saver = make_saver()
    for epoch, score in enumerate([0.5, 0.4, 0.6, 0.6], start=1):
        validate(saver, epoch, score)
    assert saved(tmp_path / "best") == (3, 0.6) and saved(tmp_path / "last") == (4, 0.6)
    for name, epoch in (("best", 3), ("last", 4)):
        assert load_stage(tmp_path / name, random_encoder()).head.classify.bias.item() == epoch
    card = read_card(tmp_path / "best")
    assert (
        card["metrics"]["other"] == 2.0 and card["training_data"] == "nothing" and card["task"] == "vessels"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "last"]


def test_a_resumed_run_remembers_the_best(make_saver, tmp_path: Path):
    first, resumed = make_saver(), make_saver()
    validate(first, 1, 0.8)
    resumed.load_state_dict(first.state_dict())
    validate(resumed, 2, 0.7)
    assert saved(tmp_path / "best") == (1, 0.8) and saved(tmp_path / "last") == (2, 0.7)


def test_a_score_that_is_no_number_is_noted_as_none_and_never_stays_the_best(make_saver, tmp_path: Path):
    saver = make_saver()
    validate(saver, 1, float("nan"))
    assert read_card(tmp_path / "best")["metrics"]["val_dice"] is None
    validate(saver, 2, 0.3)
    validate(saver, 3, float("nan"))
    assert saved(tmp_path / "best") == (2, 0.3) and read_card(tmp_path / "last")["epoch"] == 3


def test_runs_once_a_validation(make_saver):
    saver, evaluator = make_saver(), Engine(lambda *_: None)
    calls: list[Engine] = []
    saver.__class__ = type("Counting", (StageSaver,), {"__call__": lambda self, engine: calls.append(engine)})
    saver.attach(evaluator)
    evaluator.run([0, 1, 2], max_epochs=1)
    assert calls == [evaluator]
