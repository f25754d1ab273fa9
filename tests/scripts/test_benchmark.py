"""The benchmark: scores by hand, data, statistics, a small run on a stand-in for nnU-Net, resuming, refusals."""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from monai_lora_sam.files import read_json
from monai_lora_sam.workflows import Usage

STUB = Path(__file__).resolve().parents[1] / "plugins" / "nnunet" / "stub_commands.py"


@pytest.fixture
def modules(script, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the benchmark's modules."""
    names = ("data", "energy", "methods", "scores", "results", "page", "cell", "run")
    for name in names:
        monkeypatch.delitem(sys.modules, f"benchmark_{name}", raising=False)
    main = script("benchmark")
    found = {name: sys.modules.get(f"benchmark_{name}") or script(f"benchmark_{name}") for name in names}
    return SimpleNamespace(main=main, **found)


def _square(side: int, top: int, left: int, size: int, value: int = 1) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    mask[top : top + size, left : left + size] = value
    return mask


def test_scores_are_means_over_classes_in_truth_or_prediction(modules):
    truth = _square(40, 5, 5, 10)
    shifted = _square(40, 5, 10, 10)
    found = modules.scores.score_image(shifted, truth)
    assert found["dice"] == pytest.approx(0.5)
    assert found["hd95_px"] == pytest.approx(5.0)
    extra = truth + _square(40, 30, 30, 4, 2)
    found = modules.scores.score_image(extra, truth)
    assert found["dice"] == pytest.approx(0.5)  # 1 for the square, 0 for a class that is not there
    assert found["hd95_px"] == 0.0
    nothing = np.zeros_like(truth)
    assert modules.scores.score_image(nothing, nothing)["dice"] is None
    assert modules.scores.score_image(nothing, truth) == {"dice": 0, "cldice": 0, "nsd": 0, "hd95_px": None}


def test_predictions_are_scored_at_the_images_own_size(modules, tmp_path: Path):
    Image.fromarray(_square(40, 8, 8, 16)).save(tmp_path / "label.png")
    entry = {"image": "a.png", "own_label": str(tmp_path / "label.png")}
    (row,) = modules.scores.score_images([entry], [_square(20, 4, 4, 8)], ["background", "square"])
    assert (row["case"], row["dice"]) == ("a.png", 1.0)


def test_arcades_classes_add_its_published_score(modules, phantoms):
    data = modules.data.open_data(phantoms, phantoms / "unused", task="segments")
    truth = np.asarray(Image.open(data.evaluation[0]["own_label"]))
    (row,) = modules.scores.score_images(data.evaluation[:1], [truth], data.class_names)
    assert row["arcade"] == pytest.approx(1.0)
    assert row["dice"] == 1.0


def test_pictures_are_scaled_once_for_all_and_draws_are_nested(modules, phantoms, tmp_path: Path):
    data = modules.data.open_data(phantoms, tmp_path, image_size=32)
    for entry in (*data.training, *data.evaluation):
        assert Image.open(entry["image"]).size == Image.open(entry["label"]).size == (32, 32)
        assert set(np.unique(Image.open(entry["label"]))) <= {0, 1}
        assert Image.open(entry["own_label"]).size == (64, 64)
    few, more = ({entry["image"] for entry in data.draw(size, 3)} for size in (1, 3))
    assert few < more
    assert len(data.draw("all", 0)) == 4
    with pytest.raises(ValueError, match="few-shot: expected 1 to 4 cases, the number of all, found 20"):
        data.draw(20, 0)
    with pytest.raises(ValueError, match="--split: expected one of"):
        modules.data.open_data(phantoms, tmp_path, split="training")


def _cell(method: str, seed: int, dice: list[float | None], **more: Any) -> dict[str, Any]:
    cases = [{"image": f"{n}.png", "case": f"case {n // 2}", "dice": value} for n, value in enumerate(dice)]
    about = {"data": "d", "size": "5", "budget_minutes": 1.0, "images": 5, "minutes": 0.9, "bytes": 1e6}
    return {**about, "method": method, "seed": seed, "cases": cases, **more}


def test_images_of_a_case_and_seeds_are_averaged_before_cases_are_counted(modules):
    cells = [_cell("a", 0, [0.2, 0.4, None, None]), _cell("a", 1, [0.6, 0.8, 1.0, None])]
    assert modules.results.of_cases(cells, "dice") == {"case 0": pytest.approx(0.5), "case 1": 1.0}
    (row,) = modules.results.summary(cells)
    assert row["dice"]["mean"] == pytest.approx(0.75)
    assert row["dice"]["count"] == 2
    assert row["dice"]["seeds"] == [pytest.approx(0.3), pytest.approx(0.85)]


def test_methods_are_compared_on_the_same_cases(modules):
    rng = np.random.default_rng(0)
    hard = rng.uniform(0.2, 0.7, 24)
    better = [_cell("a", seed, list(hard + 0.1 + rng.normal(0, 0.02, 24))) for seed in (0, 1)]
    cells = [*better, _cell("b", 0, list(hard)), _cell("c", 0, list(hard + rng.normal(0, 0.02, 24)))]
    found = {(c["first"], c["second"]): c for c in modules.results.comparisons(cells) if c["score"] == "dice"}
    assert found["a", "b"]["verdict"] == "a better"
    assert found["a", "b"]["cases"] == 12
    assert found["b", "c"]["verdict"] == "no difference shown"


@pytest.fixture
def quick(modules, monkeypatch: pytest.MonkeyPatch, one_thread, tmp_path: Path) -> SimpleNamespace:
    """Return a function that runs the benchmark: stages in this process for two seconds, a stand-in for nnU-Net."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("plan_and_preprocess", "train", "predict"):
        path = commands / f"nnUNetv2_{name}"
        path.write_text(f"#!{sys.executable}\n" + STUB.read_text().replace("> 100", "< 120"))
        path.chmod(0o755)
    trained: list[Path] = []

    def in_process(command: list[str], variables: dict[str, str], log: Path, tell: Any) -> Usage:
        path = Path(command[-1])
        trained.append(path)
        used = time.process_time() / 60  # of this process, which a child's own budget would not hold
        path.write_text(json.dumps({**read_json(path), "minutes": used + 0.03}))
        modules.cell.main(path)
        return Usage(1.0, 1.0, 1)

    monkeypatch.setattr(modules.run, "run_measured", in_process)

    def run(source: Path, *methods: str, **more: Any) -> Path:
        keys = ["head_width=8", "lora#r=2", "mixed_precision=false", "show_progress=false"]
        given = {"minutes": [5.0], "encoder": "tiny", "image_size": 56, "threads": 1, "setting": keys}
        given |= {"size": ["2"], "nnunet_commands": commands, "out": tmp_path / "out", **more}
        modules.main.main([source], method=list(methods), **given)
        return given["out"]

    return SimpleNamespace(run=run, trained=trained)


def test_a_small_benchmark_writes_every_output_and_a_second_start_trains_nothing(quick, phantoms):
    out = quick.run(phantoms, "lora", "nnunet", size=["2", "3"])
    results = read_json(out / "results.json")
    assert [(row["method"], row["size"]) for row in results["rows"]] == [
        *[("lora", "2"), ("nnunet", "2"), ("lora", "3"), ("nnunet", "3")]
    ]
    assert results["rows"][1]["dice"]["mean"] > 0.8  # the stand-in's threshold, scaled up and back
    assert results["rows"][0]["trainable_parameters"] > 1000
    table = (out / "table.md").read_text()
    for part in ("56 px, longest side", "5 processor minutes", "phantom base of this project", "| nnunet |"):
        assert part in table
    assert "ExperimentPlanner planned patches of 32 × 40 and batches of 2" in table
    assert "| lora − nnunet | 2 | – | – | fewer than 6 cases |" in table
    rows = list(csv.DictReader((out / "cells.csv").open()))
    assert [row["method"] for row in rows] == ["lora", "nnunet"] * 2
    assert len(list(csv.DictReader((out / "cases.csv").open()))) == 8
    assert {path.name for path in out.glob("*.svg")} == {
        f"{phantoms.name}_{kind}.svg" for kind in ("minutes_2", "minutes_3", "images_5")
    }
    page = (out / "index.html").read_text()
    for word in ("best: ", "median: ", "worst: ", "Dice against minutes"):
        assert word in page
    count = len(quick.trained)
    quick.run(phantoms, "lora", "nnunet", size=["2", "3"])
    assert len(quick.trained) == count == 2


def test_a_cell_that_fails_is_listed_and_the_others_go_on(quick, phantoms, modules, monkeypatch, tmp_path):
    def fail(*arguments: Any) -> Usage:
        raise MemoryError("no room")

    good = modules.run.run_measured
    monkeypatch.setattr(modules.run, "run_measured", fail)
    with pytest.raises(typer.Exit):
        quick.run(phantoms, "lora", "nnunet")
    out = tmp_path / "out"
    results = read_json(out / "results.json")
    assert [row["method"] for row in results["rows"]] == ["nnunet"]
    assert [failure["error"] for failure in results["failures"]] == ["no room"]
    assert "no room" in (out / "table.md").read_text()
    monkeypatch.setattr(modules.run, "run_measured", good)
    quick.run(phantoms, "lora", "nnunet")
    assert not read_json(out / "results.json")["failures"]


def test_several_classes_train_by_one_map_each(quick, phantoms):
    out = quick.run(phantoms, "unet", task="segments")
    (cell,) = read_json(out / "results.json")["cells"]
    assert cell["classes"] == 26
    assert all(row["arcade"] is not None for row in cell["cases"])


def test_another_configuration_in_the_same_folder_is_refused(quick, phantoms, capsys):
    quick.run(phantoms, "nnunet")
    with pytest.raises(typer.Exit):
        quick.run(phantoms, "nnunet", image_size=28)
    assert "expected the configuration of the cell so far, found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("methods", "more", "message"),
    [
        (("forest",), {}, "--method: expected one of"),
        (("lora",), {"size": ["0"]}, "--size: expected a whole number above 0 or all"),
        (("lora",), {"size": ["20"]}, "few-shot: expected 1 to 4 cases"),
        (("lora",), {"minutes": [0.0]}, "--minutes: expected numbers above 0"),
        (("lora",), {"threads": 10_000}, "--jobs, --threads: expected at most"),
        (("nnunet_3d",), {}, "nnunet_3d: expected a Decathlon folder with volumes"),
    ],
)
def test_wrong_options_are_refused_before_any_training(quick, phantoms, capsys, methods, more, message):
    with pytest.raises(typer.Exit):
        quick.run(phantoms, *methods, **more)
    assert message in " ".join(capsys.readouterr().err.split())
    assert not quick.trained


def test_stages_predict_at_the_size_of_the_file(modules, random_segmenter, tmp_path: Path):
    for size in ((56, 56), (40, 30), (90, 112)):
        path = tmp_path / f"{size[0]}.png"
        pixels = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        (mask,) = modules.cell.predict(random_segmenter().eval(), [str(path)])
        assert mask.shape == size
        assert set(np.unique(mask)) <= {0, 1}


def test_every_method_says_what_it_starts_from(modules):
    for method in modules.methods.METHODS.values():
        for encoder in ("mini", "tiny", "sam3"):
            assert modules.methods.base_of(method, encoder)
    assert "of pretraining" in modules.methods.base_of(modules.methods.METHODS["lora"], "tiny")


def test_energy_is_the_growth_of_the_counters(modules, tmp_path: Path):
    folder = tmp_path / "intel-rapl:0"
    folder.mkdir()
    (folder / "energy_uj").write_text("9000000\n")
    (folder / "max_energy_range_uj").write_text("10000000\n")
    meter = modules.energy.EnergyMeter(tmp_path)
    (folder / "energy_uj").write_text("2000000\n")  # past its largest value
    known = {place: value for place, value in meter.before.items() if "gpu" not in place}
    assert len(known) == 1
    assert meter.joules() == pytest.approx(3.0, abs=0.01 if len(meter.before) == 1 else 1e9)
    assert modules.energy.EnergyMeter(tmp_path / "none").joules() is None or len(meter.before) > 1
