"""Ablations from a grid: figures against sums by hand, resuming, failing cells, refused grids."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import typer
import yaml

from monai_lora_sam.adapters import read_card
from monai_lora_sam.data import read_datalist
from monai_lora_sam.stages import save_network

GRIDS = sorted((Path(__file__).resolve().parents[2] / "scripts" / "ablations").glob("*.yaml"))
RANKS: dict[str, Any] = {
    "bundle": "vessel_segmentation",
    "score": "val_dice",
    "seeds": [0, 1],
    "common": {"epochs": 2},
    "grid": {"lora#r": [2, 4]},
}


@pytest.fixture
def ablate(script, one_thread, phantoms: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return the command on the drawn vessels; it takes a grid and returns the results."""
    main = script("ablate").main

    def command(grid: dict[str, Any], **more: Any) -> dict[str, Any]:
        file = tmp_path / "grid.yaml"
        file.write_text(yaml.safe_dump(grid, sort_keys=False), encoding="utf-8")
        arguments = {"out": tmp_path / "out", "setting": [f"dataset_dir={phantoms}"]} | more
        main(file, **arguments)
        folder = arguments["out"] / "quick" if more.get("quick") else arguments["out"]
        return json.loads((folder / "results.json").read_text(encoding="utf-8"))

    return command


class OneNumber(torch.nn.Module):
    """Hold one trained and one fixed number."""

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {}
        self.trained = torch.nn.Parameter(torch.zeros(1))
        self.fixed = torch.nn.Parameter(torch.zeros(1), requires_grad=False)


@pytest.fixture
def trained(ablate, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace trainings by ones that score rank / 100 + seed / 10 at once; return the settings of those that ran."""
    ran: list[dict[str, Any]] = []

    def run_bundle(name: str, config: list[str], overrides: dict[str, Any]) -> SimpleNamespace:
        ran.append(dict(overrides))
        folder, network = Path(overrides["output_dir"]), OneNumber()
        folder.mkdir(parents=True)
        score = overrides["lora#r"] / 100 + overrides["seed"] / 10
        lines = [{"epoch": n, "seconds": 2.0, "cpu_seconds": 1.5} for n in range(1, overrides["epochs"] + 1)]
        (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (folder / "training_state.pt").touch()
        for stage, value in {"last": score, "best": score + 0.01}.items():
            save_network(network, folder / stage, task="vessels", metrics={"val_dice": value})
        optimizer = torch.optim.SGD(network.parameters(), lr=1)
        return SimpleNamespace(parser=SimpleNamespace(get_parsed_content={"optimizer": optimizer}.get))

    monkeypatch.setattr(sys.modules["ablation_run"], "run_bundle", run_bundle)
    return ran


def test_trainings_that_follow_each_other_on_small_pictures(ablate, small, tmp_path, monkeypatch):
    common = {**small, "encoder_name": "tiny"}
    phases = [{"strategy": "frozen"}, {"strategy": "lora"}]
    grid = {**RANKS, "seeds": [0], "common": common, "phases": phases}
    results = ablate(grid)
    two, four = results["results"]
    # q and v of 6 blocks of width 144: r · (inputs + outputs)
    assert four["trainable_parameters"] - two["trainable_parameters"] == 2 * (144 + 144) * 2 * 6
    for row in (two, four):
        folder = tmp_path / "out" / row["cell"].replace("#", "_") / "seed_0"
        assert read_card(folder / "phase_1" / "last")["strategy"] == "frozen"
        card = read_card(folder / "phase_2" / "last")
        assert card["strategy"] == "lora" and row["last"]["values"] == [card["metrics"]["val_dice"]]
        assert row["bytes"] == sum(file.stat().st_size for file in (folder / "phase_2" / "last").iterdir())
        assert row["epochs"] == 2 and row["cpu_seconds"] > 0
    monkeypatch.setattr(sys.modules["ablation_run"], "run_bundle", None)
    assert ablate(grid)["results"] == results["results"]


def test_figures_are_those_computed_by_hand(ablate, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    results = ablate(RANKS, json_file=tmp_path / "copy.json")
    assert results == json.loads((tmp_path / "copy.json").read_text())
    two, four = results["results"]
    assert (two["cell"], two["seeds"]) == ("lora#r=2", [0, 1])
    assert two["last"]["values"] == pytest.approx([0.02, 0.12])
    # Two values resampled have a mean of either value or of their middle.
    for row, kind, low, mean, high in (
        (two, "last", 0.02, 0.07, 0.12),
        (four, "last", 0.04, 0.09, 0.14),
        (four, "best", 0.05, 0.1, 0.15),
    ):
        found = [row[kind][key] for key in ("low", "mean", "high")]
        assert found == pytest.approx([low, mean, high])
    assert (two["trainable_parameters"], two["seconds"], two["cpu_seconds"]) == (1, 4, 3)
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8").splitlines()
    assert table[3].startswith(
        "| lora#r=4 | 0.0900 (0.0400–0.1400) | 0.1000 (0.0500–0.1500) | 0.000 M | 3 | 4 |"
    )
    assert all(line.count("|") == 8 for line in table)
    with (tmp_path / "out" / "runs.csv").open(encoding="utf-8") as file:
        runs = list(csv.DictReader(file))
    assert [(run["cell"], run["seed"], float(run["last"])) for run in runs][3] == ("lora#r=4", "1", 0.14)
    plot = (tmp_path / "out" / "plot.svg").read_text(encoding="utf-8")
    assert plot.count('class="value"') == 4 and plot.count('class="mean"') == 2
    shown = capsys.readouterr().out
    assert "lora#r=4" in shown and max(map(len, shown.split("Files:")[0].splitlines())) <= 80


def test_an_unknown_score_is_a_gap(ablate):
    tables = sys.modules["ablation_tables"]
    run = {
        "cell": "a | b",
        "trainable_parameters": 8,
        "bytes": 90,
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        "epochs": 1,
    }
    runs = [{**run, "seed": seed, "last": value, "best": None} for seed, value in enumerate((0.5, None))]
    (row,) = tables.summary(runs)
    assert tables.texts(row)[:3] == ["a | b", "0.5000", "–"]


def test_a_killed_ablation_goes_on_with_the_missing_runs(ablate, trained, monkeypatch):
    module = sys.modules["ablation_run"]
    run_bundle = module.run_bundle

    def killed(name: str, config: list[str], overrides: dict[str, Any]) -> Any:
        if len(trained) == 2:
            raise KeyboardInterrupt
        return run_bundle(name, config, overrides)

    monkeypatch.setattr(module, "run_bundle", killed)
    with pytest.raises(KeyboardInterrupt):
        ablate(RANKS)
    monkeypatch.setattr(module, "run_bundle", run_bundle)
    results = ablate(RANKS)
    assert [(ran["lora#r"], ran["seed"]) for ran in trained] == [(2, 0), (2, 1), (4, 0), (4, 1)]
    assert len(results["runs"]) == results["runs_planned"] == 4


def test_other_settings_are_not_mixed_with_finished_runs(ablate, trained, capsys):
    ablate({**RANKS, "seeds": [0]})
    for changed in ({"epochs": 4}, {"epochs": 2, "learning_rate": 0.5}):
        with pytest.raises(typer.Exit) as ended:
            ablate({**RANKS, "common": changed})
        assert ended.value.exit_code == 1
        told = capsys.readouterr().err
        (key, value) = list(changed.items())[-1]
        assert "lora_r=2/seed_0: expected the settings of the run so far" in told
        assert f"{key} " in told and f"→ {value}" in told
    assert len(trained) == 2
    # A further cell, and a further seed, join the finished runs.
    ablate({**RANKS, "grid": {"lora#r": [2, 4, 8]}})
    assert [(ran["lora#r"], ran["seed"]) for ran in trained[2:]] == [(2, 1), (4, 1), (8, 0), (8, 1)]


def test_a_failing_cell_is_listed_and_the_others_go_on(ablate, trained, tmp_path, monkeypatch, capsys):
    module = sys.modules["ablation_run"]
    run_bundle = module.run_bundle

    def fails_once(name: str, config: list[str], overrides: dict[str, Any]) -> Any:
        if overrides["lora#r"] == 2 and overrides["seed"] == 1:
            raise RuntimeError("the network\nbroke")
        return run_bundle(name, config, overrides)

    monkeypatch.setattr(module, "run_bundle", fails_once)
    with pytest.raises(typer.Exit) as ended:
        ablate(RANKS)
    assert ended.value.exit_code == 1 and len(trained) == 3
    assert "expected 4 finished runs, 1 failed: lora#r=2 (seed 1)" in capsys.readouterr().err
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written["failures"] == [{"cell": "lora#r=2", "seed": 1, "error": "the network broke"}]
    assert [row["seeds"] for row in written["results"]] == [[0], [0, 1]]
    error = tmp_path / "out" / "lora_r=2" / "seed_1" / "error.txt"
    assert "RuntimeError: the network" in error.read_text()
    monkeypatch.setattr(module, "run_bundle", run_bundle)
    assert len(ablate(RANKS)["runs"]) == 4 and not error.exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"common": {"epoch": 2}}, "lora#r=2: --epoch: expected a key of train.yaml"),
        ({"grid": {"lora#rank": [2]}}, "--lora#rank: expected a key"),
        ({"cells": [{"name": "wrong", "strategy": "some"}]}, "wrong: --strategy: expected lora or frozen"),
        ({"common": {"epochs": 3, "val_interval": 2}}, "expected epochs to be a multiple of val_interval"),
        ({"common": {"seed": 2}}, "expected no key that the script sets itself, found ['seed']"),
        ({"phases": [{}, {"start_from": "a"}]}, "found ['start_from']"),
        ({"phases": [{"lora#r": 2}]}, "expected each key once, found ['lora#r'] in a phase too"),
        ({"phases": {"epochs": 2}}, "phases: expected a list"),
        ({"score": "dice"}, "score: expected one of ['val_dice', 'val_cldice'], found 'dice'"),
        ({"bundle": "kidneys"}, "bundle: expected one of"),
        ({"bundle": "coronary_pipeline"}, "expected one that is trained, found 'coronary_pipeline'"),
        ({"seeds": [1, 1]}, "seeds: expected different whole numbers, found [1, 1]"),
        ({"grid": {"lora#r": 4}}, "grid: lora#r: expected a list of values, found 4"),
        ({"grid": {}}, "expected cells under 'grid' or 'cells', found none"),
        ({"cells": [{"epochs": 2}]}, "cell 1: expected keys and values with a name"),
        ({"cells": [{"name": "lora r=4"}]}, "expected cells of different names"),
        ({"seed": [0]}, "expected a key of a grid, found 'seed' (nearest: seeds)"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_is_trained(ablate, trained, capsys, changed, message):
    with pytest.raises(typer.Exit) as ended:
        ablate({**RANKS, **changed})
    assert ended.value.exit_code == 1 and not trained
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (["epochs"], "--set: expected KEY=VALUE, found 'epochs'"),
        (["limit=[1"], "--set limit: expected a value in YAML"),
        (["lora#r=8"], "--set: expected a key that is the same in all cells, found 'lora#r'"),
    ],
)
def test_a_wrong_key_on_the_command_line_is_refused(ablate, trained, capsys, setting, message):
    with pytest.raises(typer.Exit):
        ablate(RANKS, setting=setting)
    assert message in capsys.readouterr().err and not trained


def test_a_file_that_is_no_grid_is_refused(script, tmp_path, capsys):
    file = tmp_path / "grid.yaml"
    for text, message in (
        ("- 1", "expected keys and values"),
        ("a: [", "expected YAML"),
        ("score: a", "'bundle'"),
    ):
        file.write_text(text)
        with pytest.raises(typer.Exit):
            script("ablate").main(file, tmp_path / "out")
        assert message in capsys.readouterr().err


def test_cells_and_what_stands_above_what(script, tmp_path):
    script("ablate")
    grid = tmp_path / "grid.yaml"
    content = {
        **RANKS,
        "grid": {"lora#r": [2, 4], "lora#layers": [None, 3]},
        "cells": [{"name": "by hand", "strategy": "frozen", "phases": [{"epochs": 1}, {"epochs": 3}]}],
        "common": {"epochs": 2, "limit": 5, "start_from": "stage"},
        "quick": {"image_size": 112},
    }
    grid.write_text(yaml.safe_dump(content, sort_keys=False))
    read_grid = sys.modules["ablation_grid"].read_grid
    cells = read_grid(grid, {"limit": 7}).cells
    assert [cell.name for cell in cells] == [
        "lora#r=2, lora#layers=null",
        "lora#r=2, lora#layers=3",
        "lora#r=4, lora#layers=null",
        "lora#r=4, lora#layers=3",
        "by hand",
    ]
    start = {"start_from": "stage"}
    assert cells[0].phases == ({"epochs": 2, "limit": 7, "lora#r": 2, "lora#layers": None, **start},)
    same = {"strategy": "frozen", "limit": 7}
    assert cells[4].phases == ({"epochs": 1, **same, **start}, {"epochs": 3, **same})
    quick = read_grid(grid, {"batch_size": 1}, quick=True)
    assert quick.seeds == (0,) and all(phase["epochs"] == 1 for cell in quick.cells for phase in cell.phases)
    assert {(p["image_size"], p["batch_size"], p["limit"]) for c in quick.cells for p in c.phases} == {
        (112, 1, None)
    }


def test_a_quick_run_takes_a_few_images(ablate, trained, phantoms, tmp_path):
    results = ablate({**RANKS, "common": {"epochs": 8, "limit": 3}}, quick=True)
    assert [run["epochs"] for run in results["runs"]] == [1, 1]
    paths = (trained[0]["datalist_file"], phantoms / "datalist.json")
    short, whole = (read_datalist(path, ["segments"]) for path in paths)
    assert short["training"] == whole["training"][:2] and len(short["validation"]) == 2
    assert Path(trained[0]["output_dir"]).is_relative_to(tmp_path / "out" / "quick")


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: file.stem)
def test_the_grids_that_come_with_the_scripts_fit_their_bundles(script, phantoms, tmp_path, file):
    script("ablate")
    modules = [sys.modules[name] for name in ("ablation_grid", "ablation_run")]
    for quick in (False, True):
        grid = modules[0].read_grid(file, {"dataset_dir": str(phantoms)}, quick)
        for cell in grid.cells:
            modules[1].AblationRun(grid, cell, 0, tmp_path / "out", quick).check()
        if not quick:
            steps = {sum(phase["epochs"] for phase in cell.phases) for cell in grid.cells}
            assert len(grid.cells) >= 5 and len(steps) == 1, "cells take the same steps"
