"""The benchmark of adapters: its figures, its table, and a row that fails."""

from __future__ import annotations

import json
import subprocess

import pytest
import typer

from monai_lora_sam.encoders import build_encoder


def test_figures_are_those_of_the_base(script, one_thread):
    pytest.importorskip("bitsandbytes")
    bench = script("bench_adapters")
    rows = [
        bench.measure_row("medsam_lite", precision, 64, 1, "cpu")
        for precision in ("float32", "bfloat16", "nf4")
    ]
    full, half, quarter = rows
    parameters = sum(parameter.numel() for parameter in build_encoder("medsam_lite", False, 64).parameters())
    assert full["weight_bytes"] >= 4 * parameters and full["disk_bytes"] >= 4 * parameters
    assert half["weight_bytes"] == pytest.approx(full["weight_bytes"] / 2, rel=0.01)
    assert quarter["weight_bytes"] < half["weight_bytes"]
    assert full["training_peak_bytes"] > full["inference_peak_bytes"] > full["weight_bytes"]
    assert quarter["inference_peak_bytes"] < full["inference_peak_bytes"]
    for row in rows:
        assert 0 < row["switch_seconds"] < 1
    for row in (full, quarter):
        assert row["largest_difference"] < 1e-3 and row["mixed_seconds"] > 0
    assert half["inference_peak_bytes"] is None and "mixed_seconds" not in half
    assert len(bench.as_table(rows).rows) == 3


def test_a_row_that_fails_is_told(script, monkeypatch, tmp_path, capsys):
    bench = script("bench_adapters")
    answer = subprocess.CompletedProcess([], 1, "", "Traceback\nMemoryError: too large")
    monkeypatch.setattr(bench.subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(typer.Exit):
        bench.main(encoder=["mini"], device="cpu", json_file=tmp_path / "a.json")
    assert "failed: mini, nf4: MemoryError: too large" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "a.json").read_text())["results"]) == 3
