"""A stranger's package adds a command and a data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app

run = CliRunner().invoke

MODULE = '''
from pathlib import Path
from typing import Annotated

import typer

greet_app, kidneys_app = typer.Typer(), typer.Typer()


@greet_app.command(epilog="Example: monai-lora-sam greet Ada")
def greet(name: str) -> None:
    """Greet a reader."""
    typer.echo(f"hello {name}")


@kidneys_app.command()
def kidneys(out: Annotated[Path, typer.Option()]) -> None:
    """Write an empty datalist of kidneys."""
    from monai_lora_sam.data import write_datalist

    write_datalist(out / "datalist.json", name="toy", task="kidney", class_names=["kidney"], splits={})
'''
ENTRY_POINTS = """[monai_lora_sam.commands]
greet = toy_wing:greet_app
broken = toy_wing:nothing
absent = toy_absent:app
number = toy_wing:__doc__

[monai_lora_sam.datasets]
kidneys = toy_wing:kidneys_app
"""


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the distribution toy-1.0 on the path, as pip would."""
    site = tmp_path / "site"
    info = site / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "toy_wing.py").write_text(MODULE)
    monkeypatch.syspath_prepend(site)


def test_the_help_lists_them():
    assert "Greet a reader." in run(app, ["--help"]).output
    assert "Write an empty datalist of kidneys." in run(app, ["prepare", "--help"]).output
    shown = run(app, ["greet", "--help"]).output
    assert "Example: monai-lora-sam greet Ada" in shown and "completion" not in shown


def test_they_run(tmp_path: Path):
    assert run(app, ["greet", "Ada"]).output == "hello Ada\n"
    result = run(app, ["prepare", "kidneys", "--out", str(tmp_path / "data")])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "data" / "datalist.json").read_text())["task"] == "kidney"


@pytest.mark.parametrize("name", ["broken", "absent", "number"])
def test_a_command_that_cannot_be_loaded_says_why_and_leaves_the_others(name: str):
    assert f"command '{name}' cannot be loaded" in run(app, ["--help"]).output
    result = run(app, [name, "--option", "x"])
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert f"error: command '{name}' cannot be loaded" in result.output
