"""The benchmark of encoders: its figures, its ratios, and what it does when a row fails."""

from __future__ import annotations

import json

import pytest
import torch
import typer
from rich.console import Console

from monai_lora_sam.encoders import ENCODERS, build_encoder

SETTINGS = {"encoder": "mini", "image_size": 64, "runs": 1, "device": "cpu", "bfloat16": False}


def test_figures_are_those_of_the_encoder(script, one_thread):
    row = script("bench_encoders").measure(**SETTINGS)
    encoder = build_encoder("mini", image_size=64)
    assert row["parameters"] == sum(parameter.numel() for parameter in encoder.parameters())
    assert (row["image_size"], row["embedding"]) == (64, [256, 8, 8])
    assert row["whole_flops"] == row["encoder_flops"] + row["decoder_flops"]
    # The stem alone: 32 outputs of 3 × 3 × 3 inputs at half the side, two operations each.
    assert row["encoder_flops"] > 2 * 32 * 27 * 32 * 32
    assert row["encoder_seconds"] > 0 and row["torch"] == torch.__version__


def test_attention_is_counted(script):
    """Two products of 5 × 7 tokens with 8 channels, in 3 heads."""
    query, key = torch.rand(1, 3, 5, 8), torch.rand(1, 3, 7, 8)
    attention = torch.nn.functional.scaled_dot_product_attention
    assert (
        script("bench_encoders").count_operations(lambda: attention(query, key, key)) == 2 * 2 * 3 * 5 * 7 * 8
    )


def test_fusing_leaves_fewer_parameters(script, one_thread):
    bench = script("bench_encoders")
    plain, fused = (
        bench.measure(**{**SETTINGS, "encoder": name}) for name in ("repvit_m1", "repvit_m1+fused")
    )
    assert fused["parameters"] < plain["parameters"] and fused["encoder_flops"] < plain["encoder_flops"]


def test_the_command_measures_apart_and_compares(script, tmp_path, capsys):
    bench = script("bench_encoders")
    file = tmp_path / "encoders.json"
    bench.main(encoder=["mini", "repvit_m1"], image_size=32, runs=1, device="cpu", json_file=file)
    first, second = json.loads(file.read_text())["results"]
    assert first["ratios"] == dict.fromkeys(bench.RATIOS, 1.0)
    assert second["ratios"]["parameters"] == second["parameters"] / first["parameters"]
    # At least the weights, at most what libraries would add.
    assert 4e6 < first["peak_bytes"] < 1e9
    assert "mini 32" in capsys.readouterr().out


def test_a_row_that_fails_is_told_and_does_not_stop_the_others(script, monkeypatch, tmp_path, capsys):
    bench = script("bench_encoders")

    def answer(function, **arguments):
        if arguments["encoder"] == "mini":
            raise ValueError("mini: height 33")
        return {**figures(2.0), "encoder": arguments["encoder"]}

    monkeypatch.setattr(bench, "run_apart", answer)
    file = tmp_path / "encoders.json"
    with pytest.raises(typer.Exit):
        bench.main(encoder=["mini", "repvit_m1"], image_size=33, runs=1, device="cpu", json_file=file)
    failed, good = json.loads(file.read_text())["results"]
    assert failed["error"] == "ValueError: mini: height 33" and good["ratios"]["parameters"] == 1
    assert "failed: mini, cpu: ValueError: mini: height 33" in capsys.readouterr().out


def figures(seconds: float) -> dict:
    return {
        **{"encoder": "sam_vit_h", "image_size": 1024, "device": "cpu", "threads": 2, "torch": "2.15.0"},
        **{"bfloat16": False, "parameters": 637_000_000, "encoder_flops": 5_960e9, "whole_flops": 5_963.6e9},
        **{"encoder_seconds": seconds, "whole_seconds": 1.5 * seconds, "peak_bytes": 4000 * 2**20},
    }


def test_the_table_fits_a_terminal(script):
    bench = script("bench_encoders")
    console = Console(width=80, record=True)
    console.print(bench.as_table(bench.compare_with_first([figures(41.25), figures(20.0)])))
    shown = console.export_text()
    for value in ("sam_vit_h 1024", "637.0", "5960.0", "41.250", "(0.485)"):
        assert value in shown


def test_its_encoders_exist(script):
    names = {name.partition("+")[0] for name in script("bench_encoders").ENCODERS}
    assert names <= set(ENCODERS.names())


def test_bytes_of_weights_in_each_precision(script, one_thread, tmp_path, capsys):
    pytest.importorskip("bitsandbytes")
    bench = script("bench_encoders")
    file = tmp_path / "encoders.json"
    bench.main(encoder=["mini_vit"], image_size=32, runs=1, device="cpu", quantise="nf4", json_file=file)
    (row,) = json.loads(file.read_text())["results"]
    encoder = build_encoder("mini_vit", image_size=32)
    linear = sum(m.weight.numel() for m in encoder.modules() if isinstance(m, torch.nn.Linear))
    sizes = row["weight_bytes"]
    assert sizes["float32"] == encoder.weight_bytes
    assert sizes["bfloat16"] == pytest.approx(sizes["float32"] / 2, rel=0.01)
    # Half a byte a weight, a byte a block of 64, and tables of a kilobyte a layer.
    assert sizes["nf4"] == pytest.approx(sizes["float32"] - linear * (4 - 0.5 - 1 / 64), rel=0.02)
    assert row["parameters"] == sum(parameter.numel() for parameter in encoder.parameters())
    shown = capsys.readouterr().out
    assert "weights, MiB" in shown and f"{sizes['nf4'] / 2**20:.1f}" in shown
    by_default = {name.partition("+")[0] for name in bench.ENCODERS if name not in bench.CONVOLUTIONS}
    with torch.device("meta"):
        for name in by_default:
            assert any(isinstance(m, torch.nn.Linear) for m in build_encoder(name).modules())
