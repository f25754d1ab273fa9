"""nnU-Net itself, through its own commands, on six tiny phantoms."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.coronary.phantom import PhantomConfig, prepare_phantoms
from monai_lora_sam.data import read_datalist
from plugins.nnunet import NnunetRun, NnunetSettings, export_pictures, predicted_pictures

SIDE = 64


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"minutes": 1.0}, {"epochs": 1, "planner": "nnUNetPlannerResEncM"}])
def test_nnunet_plans_trains_and_predicts(settings: dict, tmp_path: Path):
    pytest.importorskip("nnunetv2")
    config = PhantomConfig(image_size=SIDE)
    content = read_datalist(
        prepare_phantoms(tmp_path / "phantoms", 8, validation_fraction=0.25, config=config)
    )
    splits = {"training": content["training"], "test": content["validation"]}
    dataset = export_pictures(splits, content["class_names"], tmp_path / "run" / "nnUNet_raw", "phantoms")
    lines: list[str] = []
    run = NnunetRun(dataset, tmp_path / "run", NnunetSettings(iterations=5, **settings))
    plans = run.plan()
    assert plans["batch_size"] >= 2
    figures = run.train(lines.append)
    assert any(line.startswith("progress: ") for line in lines)
    assert run.results.joinpath("checkpoint_final.pth").is_file()
    if "minutes" in settings:
        assert figures["iterations"] >= 1
        assert figures["budget_seconds"] + run.steps["plan_and_preprocess"]["cpu_seconds"] >= 60
    found = list(predicted_pictures(dataset, "test", splits["test"], run.predict("test")))
    assert [mask.shape for mask in found] == [(SIDE, SIDE)] * 2
