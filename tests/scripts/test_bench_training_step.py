"""The benchmark of a training step: its figures, its table, and what it does when a row fails."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
import typer
from rich.console import Console

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import build_segmenter

SETTINGS = {
    "encoder": "tiny",
    "strategy": "lora",
    "batch": 1,
    "image_size": 56,
    "steps": 2,
    "warm_up": 0,
    "device": "cpu",
    "checkpointing": True,
    "float32": True,
    "contiguous": True,
}


def test_measures_the_step_of_the_strategy_asked_for(script):
    row = script("bench_training_step").measure(**SETTINGS)
    network = build_segmenter(build_encoder("tiny", image_size=56), "view_segmentation", strategy="lora")
    assert row["trainable"] == sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert row["parameters"] == sum(p.numel() for p in network.parameters())
    assert row["images_per_second"] * row["seconds_per_step"] == pytest.approx(1)
    assert (row["image_size"], row["device"], row["torch"]) == (56, "cpu", torch.__version__)


def test_the_process_apart_reports_its_own_peak(tmp_path, script):
    # Started from a small process, as from a shell: this one's own peak would be taken along.
    path = script("bench_training_step").__file__
    file = tmp_path / "step.json"
    command = f"--strategy frozen --batch 2 --image-size 112 --steps 1 --warm-up 0 --device cpu --json {file}"
    run = subprocess.run([sys.executable, path, *command.split()], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (row,) = json.loads(file.read_text())["results"]
    # At least what the finest features of the batch need; at most what libraries would add.
    assert 1e6 < row["peak_bytes"] < 1e9
    assert "seconds_to_full" not in row  # full was not measured


def test_a_row_that_fails_is_told_and_does_not_stop_the_others(script, monkeypatch, capsys, tmp_path):
    bench = script("bench_training_step")
    good = {
        **{"encoder": "tiny", "image_size": 504, "device": "cpu", "threads": 1, "torch": "2", "batch": 4},
        **{"trainable": 1_000_000, "seconds_per_step": 2.0, "images_per_second": 2.0, "peak_bytes": 2**30},
    }
    failed = {"encoder": "tiny", "image_size": None, "batch": 4, "error": "RuntimeError: out of memory"}
    answers = {"lora": {**good, "seconds_per_step": 1.0, "peak_bytes": 2**29}, "full": good, "frozen": failed}
    monkeypatch.setattr(
        bench, "measure_apart", lambda s: {"strategy": s["strategy"], **answers[s["strategy"]]}
    )
    with pytest.raises(typer.Exit) as ended:
        bench.main(strategy=["lora", "frozen", "full"], json_file=tmp_path / "step.json")
    assert ended.value.exit_code == 1
    shown = capsys.readouterr().out
    assert "out of memory" in shown and "1024" in shown
    rows = json.loads((tmp_path / "step.json").read_text())["results"]
    assert [row.get("seconds_to_full") for row in rows] == [0.5, None, 1.0]
    assert [row.get("peak_to_full") for row in rows] == [0.5, None, 1.0]


def test_the_reason_of_a_failure_is_the_process_last_line_or_its_signal(script, monkeypatch):
    bench = script("bench_training_step")
    for code, said, reason in (
        (1, "Traceback\nRuntimeError: no memory\n", "RuntimeError: no memory"),
        (-9, "", "signal 9"),
    ):
        ended = subprocess.CompletedProcess([], code, stdout="", stderr=said)
        monkeypatch.setattr(bench.subprocess, "run", lambda *_, ended=ended, **__: ended)
        row = bench.measure_apart(SETTINGS)
        assert row["error"].endswith(reason)
        assert row["strategy"] == "lora"


def test_the_table_fits_a_terminal_of_80_columns(script):
    bench = script("bench_training_step")
    row = {
        **{"encoder": "sam_vit_b", "strategy": "last_n", "image_size": 1024, "batch": 16, "device": "cpu"},
        **{"threads": 2, "torch": "2.15.0", "trainable": 12_340_000, "seconds_per_step": 12.345},
        **{
            "images_per_second": 0.12,
            "peak_bytes": 20_000 * 2**20,
            "seconds_to_full": 0.5,
            "peak_to_full": 0.25,
        },
    }
    console = Console(width=80, record=True)
    console.print(bench.as_table([row]))
    shown = console.export_text()
    for value in ("sam_vit_b 1024 ×16", "12.34", "12.345", "20000", "0.50", "0.25"):
        assert value in shown
