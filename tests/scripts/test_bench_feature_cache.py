"""The benchmark of the feature cache: what it runs, its figures and its table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console

from monai_lora_sam.adapters import AdapterStack


@pytest.mark.parametrize(("stage", "passes"), [(3, 2), (1, 1)])
def test_runs_the_encoder_for_the_fill_and_for_epochs_without(
    stage: int, passes: int, script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    images: list[int] = []
    forward = AdapterStack.forward

    def counted(self: AdapterStack, image: torch.Tensor) -> list[torch.Tensor]:
        images.append(len(image))
        return forward(self, image)

    monkeypatch.setattr(AdapterStack, "forward", counted)
    row = script("bench_feature_cache").measure("tiny", stage, 56, 4, 2, 1, "cpu", tmp_path)
    assert sum(images) == 4 * passes * 2  # once to fill, once without
    for side in ("without", "with"):
        assert sum(row[side]["share_of_cpu"].values()) == pytest.approx(1)
    stored = sum(path.stat().st_size for path in tmp_path.rglob("features.safetensors"))
    assert stored < row["bytes_per_image"] * 4 < stored + 2000
    if stage == 1:
        assert stored > 2 * 48 * (16**2 + 8**2 + 4**2 + 2**2) * 4  # float16, four levels


def test_unusable_settings(script):
    bench = script("bench_feature_cache")
    with pytest.raises(typer.BadParameter, match="expected a multiple of --batch 4, found 6"):
        bench.main(images=6, batch=4)
    with pytest.raises(typer.BadParameter, match="expected 1 or 3, found 2"):
        bench.build("tiny", 2, 56)


def test_the_table_fits_a_terminal_of_80_columns(script, monkeypatch, tmp_path, capsys):
    bench = script("bench_feature_cache")
    taken = {"seconds": 123.4567, "cpu_seconds": 100.0, "share_of_cpu": {"loading": 0.125}}
    row = {
        **{"encoder": "sam_vit_b", "stage": 3, "image_size": 1024, "images": 10, "batch": 2, "epochs": 1},
        **{"device": "cpu", "threads": 2, "torch": "2.15.0", "trainable": 5_000_000},
        **{"bytes_per_image": 89_000_000.0, "fill": taken, "without": taken},
        **{"with": {**taken, "seconds": 1.0, "cpu_seconds": 2.0}},
    }
    monkeypatch.setattr(bench, "measure", lambda *_: row)
    bench.main(stage=[3], json_file=tmp_path / "cache.json")
    assert json.loads((tmp_path / "cache.json").read_text())["results"] == [row]
    console = Console(width=80, record=True)
    console.print(bench.as_table([row]))
    shown = console.export_text()
    for value in ("sam_vit_b 1024, 3", "12.3457", "123.5×", "50.0×", "12.5%", "89.00"):
        assert value in shown
