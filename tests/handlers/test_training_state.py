"""A run that was killed goes on as if nothing had happened, and refuses what is not its own."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from monai_lora_sam.handlers import read_history


def weights(run) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in run.network.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def history(run) -> list[dict]:
    return [
        {k: v for k, v in line.items() if not k.endswith("seconds")}
        for line in read_history(run.folder / "history.jsonl")
    ]


@pytest.fixture
def straight(make_run):
    run = make_run("straight")
    run.trainer.run()
    return run


def kill(run) -> None:
    with pytest.raises(Exception) as caught:
        run.trainer.run()
    assert type(caught.value).__name__ == "Killed"


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_killed_run_ends_bit_equal_to_an_uninterrupted_one(make_run, straight, epoch: int):
    killed = make_run(kill_in=epoch)
    kill(killed)
    assert not same(weights(killed), weights(straight))
    scores = [0.1 * n for n in range(epoch, 100)]  # the evaluator of this test gives them by number
    again = make_run(scores=scores)
    again.trainer.run()
    assert same(weights(again), weights(straight))
    assert history(again) == history(straight)
    assert again.schedule.get_last_lr() == straight.schedule.get_last_lr()


def test_more_epochs_may_be_asked_for(make_run, straight):
    short = make_run(epochs=2)
    short.trainer.run()
    again = make_run(epochs=4, scores=[0.3, 0.4])
    again.trainer.run()
    assert same(weights(again), weights(straight)) and again.trainer.state.epoch == 4
    assert [line["epoch"] for line in history(again)] == [1, 2, 3, 4]


def test_a_finished_run_does_nothing_and_has_its_weights(make_run, straight):
    before = (straight.folder / "history.jsonl").read_bytes()
    again = make_run("straight")
    assert not same(weights(again), weights(straight))
    again.trainer.run()
    assert same(weights(again), weights(straight))
    assert (straight.folder / "history.jsonl").read_bytes() == before


def test_a_kill_while_writing_leaves_the_old_state(make_run, straight, monkeypatch: pytest.MonkeyPatch):
    make_run(epochs=2).trainer.run()
    before = make_run().folder.joinpath("state.pt").read_bytes()

    def half(state, file) -> None:
        Path(file).write_bytes(before[:100])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(KeyboardInterrupt):
            make_run(scores=[0.3, 0.4]).trainer.run()
    assert make_run().folder.joinpath("state.pt").read_bytes() == before
    again = make_run(scores=[0.3, 0.4])
    again.trainer.run()
    assert same(weights(again), weights(straight))
    assert [line["epoch"] for line in history(again)] == [1, 2, 3, 4]  # epoch 3 had been logged before


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("was_executed",)


@pytest.mark.parametrize(
    "content", ["truncated", "text", "empty", "pickle", "torch pickle", "list", "other objects"]
)
def test_unreadable_and_foreign_files(
    make_run, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    make_run(epochs=1).trainer.run()
    path = tmp_path / "run" / "state.pt"
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif content in ("text", "empty"):
        path.write_text("no state" if content == "text" else "")
    elif content == "pickle":
        path.write_bytes(pickle.dumps(Malicious()))
    elif content == "torch pickle":
        torch.save({"network": Malicious()}, path)
    elif content == "list":
        torch.save([torch.zeros(2)], path)
    else:
        torch.save({"network": {}, "optimizer": {}}, path)
    run = make_run()
    before = weights(run)
    with pytest.raises(ValueError, match=r"state\.pt: expected"):
        run.trainer.run()
    assert same(weights(run), before)
    assert not (tmp_path / "was_executed").exists()


def test_a_state_of_another_network_names_the_file(make_run):
    make_run(epochs=1, width=4).trainer.run()
    with pytest.raises(ValueError, match=r"(?s)state\.pt: .*size mismatch"):
        make_run(width=8).trainer.run()


def test_a_state_of_another_batch_size_is_refused(make_run):
    make_run(epochs=1).trainer.run()
    with pytest.raises(ValueError, match=r"state\.pt: expected a state of 2 steps an epoch, found 4"):
        make_run(batch_size=4).trainer.run()
