"""``scripts/bench_scale.py`` prints its figures, and says which of them are a projection."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("pyarrow")
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_scale.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_scale", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_figures_of_a_small_run(script: ModuleType, stages: SimpleNamespace, tmp_path: Path):
    app = typer.Typer()
    app.command()(script.main)
    arguments = ["--stage", stages.vessels, "--weights", stages.base, "--entries", "20000", "--images", "8"]
    arguments += ["--device", "cpu", "--quick", "--json", tmp_path / "figures.json"]
    result = CliRunner().invoke(app, [str(word) for word in arguments])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [row["entries"] for row in figures["index"]] == [2000, 20_000]
    assert [(row["workers"], row["images"]) for row in figures["workers"]] == [(1, 8), (2, 8), (4, 8)]
    assert (figures["restart"]["shards"], figures["restart"]["left"]) == (79, 1)
    assert "Projection, not measured" in result.output and "The projection assumes:" in result.output


def test_the_projection_is_that_of_its_assumptions(script: ModuleType):
    projection = script.project({"images_per_second": 4.0}, "a GPU")
    assert projection["is"].startswith("a projection")
    hours = [row["hours"] for row in projection["rows"]]
    # By hand: 1e6 / 4 s and 30 s; a hundredth of it, 30 s and a last shard of 64 s.
    assert hours == pytest.approx([69.45, 0.72], abs=0.01)
