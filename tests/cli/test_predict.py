"""``monai-lora-sam predict``, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app

pytest.importorskip("pyarrow")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Write four pictures, one of them damaged, and their index."""
    (tmp_path / "study").mkdir()
    for number in range(4):
        Image.fromarray(np.full((40, 50), 60 * number, np.uint8)).save(tmp_path / "study" / f"{number}.png")
    (tmp_path / "study" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    result = CliRunner().invoke(
        app, ["prepare", "index", str(tmp_path / "study"), "--out", str(tmp_path / "study.parquet")]
    )
    assert result.exit_code == 0 and "4 images" in result.output
    return tmp_path / "study.parquet"


def _arguments(study: Path, stages: SimpleNamespace) -> list[str]:
    options = {
        "--stage": stages.vessels,
        "--weights": stages.base,
        "--out": study.parent / "out",
        "--device": "cpu",
    }
    words = [str(word) for pair in options.items() for word in pair]
    return ["predict", str(study), *words, "--shard-size", "2"]


def test_predict_lists_the_bad_image_and_fails_at_the_end(study: Path, stages: SimpleNamespace):
    for _ in range(2):  # the second run finds all done
        result = CliRunner().invoke(app, _arguments(study, stages))
        assert result.exit_code == 1, result.output
        assert "3 of 4 images done, 1 failed" in result.output and "failed.csv" in result.output
    assert "2.png" in (study.parent / "out" / "failed.csv").read_text()


def test_half_a_run_on_another_stage_is_one_line(study: Path, stages: SimpleNamespace):
    arguments = _arguments(study, stages)
    CliRunner().invoke(app, arguments)
    result = CliRunner().invoke(
        app, [str(stages.segments) if w == str(stages.vessels) else w for w in arguments]
    )
    assert result.exit_code == 1
    assert "expected the stage with which these predictions were begun" in " ".join(result.output.split())


def test_a_run_on_ray_needs_ray(study: Path, stages: SimpleNamespace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = CliRunner().invoke(app, [*_arguments(study, stages), "--ray"])
    assert result.exit_code == 1 and "pip install 'monai-lora-sam[ray]'" in " ".join(result.output.split())


@pytest.mark.slow
def test_torchrun_shares_the_shards(study: Path, stages: SimpleNamespace):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "monai_lora_sam.cli.main", *_arguments(study, stages)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 1 and "3 of 4 images done, 1 failed" in done.stdout, done.stderr[-3000:]
    summary = json.loads((study.parent / "out" / "summary.json").read_text())
    assert (summary["done"], summary["failed"], summary["shards"]) == (3, 1, 2)
