"""Forgetting of stage 1: none with adapters, measured end to end on a few small images; its errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from rich.console import Console


def test_with_adapters_the_score_of_stage_1_stays_what_it_was(
    script, one_thread, arcade: Path, tmp_path: Path, monkeypatch
):
    bench = script("bench_forgetting")
    monkeypatch.setattr(bench, "QUICK", {"epochs": 1, "image_size": 56, "images": 4})
    bench.main(arcade, work=tmp_path / "work", json_file=tmp_path / "forgetting.json", quick=True)
    rows = json.loads((tmp_path / "forgetting.json").read_text())["results"]
    assert [(row["chain"], row["stage"]) for row in rows] == [
        (chain, stage) for chain in ("adapters", "full") for stage in ("vessels", "segments", "stenosis")
    ]
    adapters, full = rows[:3], rows[3:]
    assert len({row["vessel_dice"] for row in adapters}) == 1, "the same to the last bit"
    assert [row["strategy"] for row in rows] == ["lora", "lora", "frozen", "full", "full", "full"]
    for small, large in zip(adapters, full, strict=True):
        assert small["parameters_trained"] < large["parameters_trained"]
        assert small["bytes_stored"] < large["bytes_stored"]
    for row in rows:
        folder = tmp_path / "work" / row["chain"] / row["stage"] / "last"
        assert row["bytes_stored"] == sum(path.stat().st_size for path in folder.iterdir())
    console = Console(width=80, record=True)
    console.print(bench.as_table(rows))
    assert f"{full[-1]['vessel_dice']:.4f}" in console.export_text()


def test_the_shortened_data_keep_the_first_images(script, arcade: Path, tmp_path: Path):
    bench = script("bench_forgetting")
    whole = bench.read_datalist(bench.shortened(arcade, tmp_path / "a", "vessels", None) / "datalist.json")
    short = bench.read_datalist(bench.shortened(arcade, tmp_path / "b", "vessels", 1) / "datalist.json")
    assert (len(whole["training"]), len(whole["validation"])) == (4, 2)
    assert short["training"][0]["image"] == whole["training"][0]["image"]
    assert len(short["training"]) == len(short["validation"]) == 1


def test_a_folder_without_arcade_ends_in_one_line(script, tmp_path: Path, capsys):
    with pytest.raises(typer.Exit) as ended:
        script("bench_forgetting").main(tmp_path / "nowhere", work=tmp_path / "work", quick=True)
    assert ended.value.exit_code == 1
    assert str(tmp_path / "nowhere") in capsys.readouterr().err
