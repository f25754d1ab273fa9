"""The driver of nnU-Net's commands, on stand-ins for them: arguments, environment, resuming, refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plugins.nnunet import NnunetRun, NnunetSettings, export_pictures, predicted_pictures

CLASSES = ["background", "bar"]


@pytest.fixture
def start(splits, commands: Path, tmp_path: Path):
    """Return a function that makes a run on the small pictures."""

    def make(parts: dict[str, Any] = splits, **settings: Any) -> NnunetRun:
        dataset = export_pictures(parts, CLASSES, tmp_path / "run" / "nnUNet_raw", "bars", 3)
        return NnunetRun(dataset, tmp_path / "run", NnunetSettings(**settings), commands)

    return make


def _calls(run: NnunetRun) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "calls.jsonl").read_text().splitlines()]


def test_the_steps_get_their_arguments_and_variables_and_this_process_none(start, splits):
    before = dict(os.environ)
    run, lines = start(minutes=5.0, seed=4, iterations=7), []
    run.train(lines.append)
    found = list(predicted_pictures(run.dataset, "test", splits["test"], run.predict("test")))
    assert dict(os.environ) == before
    assert lines == ["progress: half"]
    plan, train, predict = _calls(run)
    assert plan["arguments"][:6] == ["-d", "3", "-c", "2d", "-pl", "ExperimentPlanner"]
    assert plan["variables"]["nnUNet_n_proc_DA"] == "1"
    assert train["arguments"] == [
        "3",
        "2d",
        "0",
        *["-tr", "nnUNetTrainerBudget", "-p", "nnUNetPlans", "-device", "cpu"],
    ]
    assert train["variables"]["nnUNet_n_proc_DA"] == "0"
    assert train["variables"]["nnUNet_compile"] == "f"
    assert train["variables"]["nnUNet_raw"] == str(run.folder / "nnUNet_raw")
    assert train["variables"]["MONAI_LORA_SAM_NNUNET_SEED"] == "4"
    assert train["variables"]["MONAI_LORA_SAM_NNUNET_ITERATIONS"] == "7"
    assert predict["arguments"][predict["arguments"].index("-chk") + 1] == "checkpoint_final.pth"
    truth = np.asarray(Image.open(splits["test"][0]["label"])) > 0
    assert np.array_equal(found[0] > 0, truth)


def test_planning_and_preprocessing_count_in_the_budget(start):
    run = start(minutes=5.0)
    figures = run.train()
    left = float(_calls(run)[1]["variables"]["MONAI_LORA_SAM_NNUNET_SECONDS"])
    assert 0 < left == pytest.approx(300 - run.steps["plan_and_preprocess"]["cpu_seconds"])
    assert figures["budget_seconds"] == pytest.approx(left + 1)
    assert figures["iterations"] == 12
    assert run.steps["train"]["peak_bytes"] > 1e6


def test_a_budget_that_planning_spends_is_an_error(start):
    with pytest.raises(ValueError, match="found it spent before training"):
        start(minutes=1e-6).train()


def test_the_split_file_is_the_datalists_and_no_validation_is_fold_all(start, splits, tmp_path: Path):
    run = start(epochs=1)
    run.train()
    path = run.folder / "nnUNet_preprocessed" / "Dataset003_bars" / "splits_final.json"
    assert json.loads(path.read_text()) == run.dataset.splits
    assert len(
        list(predicted_pictures(run.dataset, "validation", splits["validation"], run.predict("validation")))
    )
    assert len(list((run.folder / "predictions" / "validation").iterdir())) == 2


def test_without_validation_all_cases_are_one_fold(start, splits):
    run = start({**splits, "validation": []}, epochs=1, planner="nnUNetPlannerResEncM")
    run.train()
    arguments = _calls(run)[1]["arguments"]
    assert arguments[:7] == ["3", "2d", "all", "-tr", "nnUNetTrainerShort", "-p", "nnUNetResEncUNetMPlans"]


def test_nnunets_own_schedule_takes_its_own_trainer(start):
    run = start(device="cuda", threads=3)
    run.train()
    train = _calls(run)[1]
    assert train["arguments"][3:5] == ["-tr", "nnUNetTrainer"]
    assert train["variables"]["nnUNet_n_proc_DA"] == "3"
    assert train["variables"]["nnUNet_compile"] == "t"


def test_a_failed_training_tells_why_and_goes_on_from_its_checkpoint(start):
    run = start(epochs=2)
    (run.folder / "fail").touch()
    with pytest.raises(RuntimeError, match=r"nnUNetv2_train ended with 1, see .*log.txt") as caught:
        run.train()
    assert "the network has burnt" in str(caught.value)
    again = start(epochs=2)
    again.train()
    again.train()  # finished: nothing is called
    names = [call["command"] for call in _calls(run)]
    assert names == ["nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_train"]
    assert "--c" in _calls(run)[-1]["arguments"]


def test_two_configurations_are_not_mixed_in_a_folder(start):
    start(minutes=5.0).train()
    with pytest.raises(ValueError, match="expected the configuration of the run so far, found seed 0 → 1"):
        start(minutes=5.0, seed=1)


def test_a_configuration_that_was_not_planned_is_an_error(start):
    with pytest.raises(ValueError, match="expected the configuration '3d_fullres', found \\['2d'\\]"):
        start(epochs=1, configuration="3d_fullres").train()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"planner": "Planner"}, "planner: expected one of"),
        ({"clock": "sun"}, "clock: expected one of"),
        ({"minutes": 0}, "minutes: expected a positive number"),
        ({"minutes": 1.0, "epochs": 1}, "expected minutes or epochs"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        NnunetSettings(**settings)


def test_missing_commands_say_how_to_install_them(splits, tmp_path: Path):
    dataset = export_pictures(splits, CLASSES, tmp_path / "run" / "nnUNet_raw", "bars")
    run = NnunetRun(dataset, tmp_path / "run", NnunetSettings(epochs=1), tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"nnUNetv2_plan_and_preprocess in .*: pip install"):
        run.plan()


def test_a_data_set_elsewhere_is_refused(splits, tmp_path: Path):
    dataset = export_pictures(splits, CLASSES, tmp_path / "raw", "bars")
    with pytest.raises(ValueError, match="expected the data set below"):
        NnunetRun(dataset, tmp_path / "run", NnunetSettings(epochs=1))
