"""JSON and errors of the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from monai_lora_sam.cli import console, console_beside, errors, one_line_errors, write_json


def test_json_goes_to_a_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_json([1, None], tmp_path / "new" / "a.json")
    assert json.loads((tmp_path / "new" / "a.json").read_text()) == [1, None]
    write_json({"a": 2}, Path("-"))
    assert json.loads(capsys.readouterr().out) == {"a": 2}
    with pytest.raises(ValueError, match="JSON"):
        write_json(float("nan"), tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()


def test_tables_make_room_for_json_on_standard_output():
    assert console_beside(Path("-")) is errors
    assert console_beside(None) is console_beside(Path("a.json")) is console


def test_output_without_a_terminal_is_wide_unless_columns_says_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console.width == 200
    monkeypatch.setenv("COLUMNS", "80")
    assert console.width == 80


@pytest.mark.parametrize(
    "error", [ValueError("a [red] value"), OSError("a [red] value"), KeyError("a [red] value")]
)
def test_an_error_is_one_line_as_it_stands(error: Exception, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit) as end, one_line_errors():
        raise error
    assert end.value.exit_code == 1
    assert capsys.readouterr().err == "error: a [red] value\n"


def test_an_error_that_was_not_foreseen_is_one_line_or_shown_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(typer.Exit), one_line_errors():
        raise ZeroDivisionError("by 0\nand more")
    assert capsys.readouterr().err == (
        "error: ZeroDivisionError: by 0 (set MONAI_LORA_SAM_TRACEBACK=1 to see where)\n"
    )
    monkeypatch.setenv("MONAI_LORA_SAM_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError
