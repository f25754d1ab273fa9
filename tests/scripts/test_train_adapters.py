"""The training of the shipped adapters: a tiny run on real data, and those that are shipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

from monai_lora_sam.adaptation import COMPARED_MODES
from monai_lora_sam.adapters import read_card
from monai_lora_sam.prompting import load_promptable


@pytest.mark.slow
def test_a_quick_run_writes_an_adapter_with_its_scores(
    script: Callable[[str], ModuleType], shared_data: Path, tmp_path: Path
) -> None:
    module = script("train_adapters")
    module.main(shared_data, out=tmp_path / "out", work=tmp_path / "work", only=["ct"], quick=True)
    folder = tmp_path / "out" / "mini" / "ct"
    card = read_card(folder)
    assert card["name"] == "ct" and card["modality"] == "CT" and "of 2 cases" in card["held_out_data"]
    assert [item["mode"] for item in card["comparison"]] == list(COMPARED_MODES)
    for item in card["comparison"]:
        assert 0 <= item["before"] <= 1 and 0 <= item["before_at_512_px"] <= 1
        assert card["metrics"][f"dice, {item['mode']}"] == item["after"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3e6
    assert load_promptable(adapter=folder, device="cpu").adapters == ("ct",)


def test_an_unknown_modality_is_told(script: Callable[[str], ModuleType], tmp_path: Path, capsys) -> None:
    with pytest.raises(typer.Exit):
        script("train_adapters").main(tmp_path, only=["xr"])
