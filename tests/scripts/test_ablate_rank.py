"""The ablation of ranks: its figures against sums by hand, resuming, its errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer

from monai_lora_sam.adapters import read_card
from monai_lora_sam.coronary.stages import SHIPPED


@pytest.fixture
def ablate(script, one_thread, small, phantoms: Path, tmp_path: Path):
    """Return the script, and its command on the drawn vessels with ranks 2 and 4."""
    bench = script("ablate_rank")
    settings = [f"{key}={json.dumps(value)}" for key, value in small.items() if key != "device"]

    def command(**more):
        arguments = {"rank": [4, 2], "work": tmp_path / "work", "json_file": tmp_path / "rank.json"} | more
        arguments["setting"] = [*settings, "device=cpu", *arguments.get("setting", [])]
        bench.main(arguments.pop("data", phantoms), **arguments)
        return json.loads((tmp_path / "rank.json").read_text())

    return bench, command


def test_trains_each_rank_compares_them_and_does_not_train_again(ablate, tmp_path, capsys, monkeypatch):
    bench, command = ablate
    written = command(seeds=2)
    rows = written["results"]
    assert [row["rank"] for row in rows] == [2, 4] and written["runs_planned"] == len(written["runs"]) == 4
    for row in rows:
        # q and v of 6 blocks of width 144: r · (inputs + outputs)
        assert row["adapter_parameters"] == row["rank"] * (144 + 144) * 2 * 6
        assert 4 * row["adapter_parameters"] < row["adapter_bytes"] < row["stage_bytes"]
        folders = [
            tmp_path / "work" / "vessel_segmentation" / f"rank_{row['rank']:02d}_seed_{s}" for s in (0, 1)
        ]
        config = json.loads((folders[0] / "last" / "adapter_config.json").read_text())
        assert (config["r"], config["lora_alpha"]) == (row["rank"], 2 * row["rank"])
        assert row["scores"] == [read_card(folder / "last")["metrics"]["val_dice"] for folder in folders]
        assert row["mean"] == pytest.approx(np.mean(row["scores"]))
        assert row["sd"] == pytest.approx(np.std(row["scores"], ddof=1))
    assert rows[0]["scores"][0] != rows[0]["scores"][1], "the seeds differ"
    page = (tmp_path / "work" / "vessel_segmentation" / "page.html").read_text()
    assert page.count("<svg") == 2 and "4 of 4 runs finished" in page
    shown = capsys.readouterr().out
    assert "run 4 of 4" in shown and "±" in shown
    assert max(len(line) for line in shown.splitlines() if not line.startswith("Open")) <= 80

    # A run that was killed before its figures were noted goes on, here with nothing left to train.
    note = tmp_path / "work" / "vessel_segmentation" / "rank_04_seed_1" / "run.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "result": None}))
    trained = []
    original = bench.run_bundle
    monkeypatch.setattr(
        bench, "run_bundle", lambda *a, **k: trained.append(k["overrides"]) or original(*a, **k)
    )
    again = command(seeds=2)
    assert [(one["lora#r"], one["seed"]) for one in trained] == [(4, 1)]
    assert again["results"] == rows

    with pytest.raises(typer.Exit):
        command(seeds=2, setting=["learning_rate=0.5"])
    told = capsys.readouterr().err
    assert "rank_02_seed_0: expected a run with the same settings, found other learning_rate" in told
    assert len(trained) == 1


def test_stage_2_on_a_frozen_stage_1(ablate):
    _, command = ablate
    written = command(bundle="segment_classification", setting=[f"vessels={SHIPPED / 'vessels'}"])
    assert written["score"] == "val_macro_f1"
    for row in written["results"]:
        # q, k and v
        assert row["adapter_parameters"] == row["rank"] * (144 + 144) * 3 * 6
        assert row["sd"] is None and len(row["scores"]) == 1


def test_a_quick_run_takes_a_few_images_and_two_ranks(ablate, tmp_path, monkeypatch):
    bench, command = ablate
    monkeypatch.setattr(bench, "QUICK_RANKS", [1, 2])
    monkeypatch.setattr(bench, "QUICK_IMAGES", 2)
    assert [row["rank"] for row in command(quick=True)["results"]] == [1, 2]
    shortened = tmp_path / "work" / "vessel_segmentation_quick" / "quick_data" / "datalist.json"
    assert len(json.loads(shortened.read_text())["training"]) == 2


def test_an_unknown_score_is_a_gap(script):
    bench = script("ablate_rank")
    run = {"rank": 4, "adapter_parameters": 8, "adapter_bytes": 40, "stage_bytes": 90, "seconds": 1.0}
    runs = [{**run, "metrics": {"val_dice": value}} for value in (0.5, None)]
    (row,) = bench.summary(runs, "val_dice")
    assert (row["mean"], row["sd"]) == (0.5, None)
    assert bench.cells(row)[-2:] == ["0.5000 –", "0.5000"]
    (row,) = bench.summary(runs[1:], "val_dice")
    assert row["mean"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bundle": "stenosis_detection"}, "--bundle: expected one of"),
        ({"rank": [4]}, "--rank: expected two or more whole numbers from 1 on, found [4]"),
        ({"rank": [0, 4]}, "found [0, 4]"),
        ({"seeds": 0}, "--seeds: expected a number from 1 on, found 0"),
        ({"setting": ["epochs"]}, "--set: expected KEY=VALUE, found 'epochs'"),
        ({"setting": ["epoch=2"]}, "expected a key of"),
        ({"setting": ["lora#r=2"]}, "'lora#r' is set by this script itself"),
        ({"setting": ["strategy=full"]}, "'strategy' is set by this script itself"),
        ({"setting": [f"start_from={SHIPPED / 'vessels'}"]}, "expected a start without an adapter"),
        ({"setting": ["start_from=nowhere"]}, "nowhere: expected an adapter folder"),
        ({"data": Path("nowhere")}, "nowhere"),
    ],
)
def test_what_does_not_fit_is_one_line(ablate, capsys, arguments, message):
    with pytest.raises(typer.Exit) as ended:
        ablate[1](**arguments)
    assert ended.value.exit_code == 1
    assert message in capsys.readouterr().err
