"""The benchmark of predicted peaks: one real row against the profiler, a child that fails, the table."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from rich.console import Console

SETTINGS = {"encoder": "tiny", "image_size": 56, "batch": 2, "device": "cpu", "strategy": "frozen"}


def test_a_row_holds_prediction_and_measurement_of_the_same_step(script):
    row = script("bench_memory").row(SETTINGS)
    assert row["error_percent"] == pytest.approx(100 * (row["predicted_bytes"] / row["measured_bytes"] - 1))
    assert abs(row["error_percent"]) < 10 and sum(row["parts"].values()) == row["predicted_bytes"]
    assert row["device_name"] and row["step_seconds"] > 0


def test_a_child_that_fails_leaves_rows_that_say_why(script, monkeypatch: pytest.MonkeyPatch):
    bench = script("bench_memory")
    for code, said, expected in (
        (1, "trace\nValueError: no\n", "ValueError: no"),
        (-9, "", "ended by signal 9"),
    ):
        ended = subprocess.CompletedProcess([], code, "", said)
        monkeypatch.setattr(bench.subprocess, "run", lambda *a, ended=ended, **k: ended)
        (row,) = bench.rows_apart([SETTINGS])
        assert row["error"] == expected
    console = Console(width=120, record=True)
    console.print(bench.as_table([row]))
    printed = console.export_text()
    assert "tiny 56 ×2" in printed and "failed: ended by signal 9" in printed


def test_a_failed_row_makes_the_command_fail_after_the_table(
    script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    bench = script("bench_memory")
    monkeypatch.setattr(bench, "rows_apart", lambda settings: [{**one, "error": "no"} for one in settings])
    with pytest.raises(bench.typer.Exit):
        bench.main(device="cpu", quick=True, json_file=tmp_path / "memory.json")
    assert (tmp_path / "memory.json").is_file() and capsys.readouterr().out.count("failed: no") == 4
