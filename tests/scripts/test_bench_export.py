"""``scripts/bench_export.py`` compares a stage with its exports."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam.data import write_datalist

pytest.importorskip("onnxruntime")
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_export.py"


@pytest.mark.slow
def test_the_export_scores_as_the_network(stages: SimpleNamespace, tmp_path: Path):
    spec = importlib.util.spec_from_file_location("bench_export", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entries = []
    for number in range(3):
        wave = np.sin(np.mgrid[:60, :50].sum(0) / (5 + number))
        image, label = tmp_path / f"{number}.png", tmp_path / f"{number}_label.png"
        Image.fromarray((127 + 100 * wave).astype(np.uint8)).save(image)
        Image.fromarray((wave > 0).astype(np.uint8) * 255).save(label)
        entries.append({"image": str(image), "label": str(label), "case_id": str(number)})
    datalist = write_datalist(
        tmp_path / "datalist.json",
        name="waves",
        task="vessels",
        class_names=["background", "vessel"],
        splits={"training": entries[:2], "validation": entries[2:]},
    )
    app = typer.Typer()
    app.command()(module.main)
    arguments = [
        datalist,
        "--stage",
        stages.vessels,
        "--weights",
        stages.base,
        "--json",
        tmp_path / "out.json",
    ]
    result = CliRunner().invoke(app, [str(word) for word in arguments])
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["torch, float32", "ONNX, float32", "ONNX, 8 bits"]
    assert abs(rows[1]["dice_lost"]) < 1e-3 and rows[2]["bytes"] < rows[1]["bytes"]
