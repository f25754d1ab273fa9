"""Data of the shipped student, and its two phases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from monai_lora_sam.data import read_datalist


@pytest.mark.slow
def test_phases_follow_each_other_on_held_in_data(
    script: Callable[[str], ModuleType], shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, runs = script("train_mini"), []

    def run_bundle(name: str, overrides: dict[str, Any]) -> Any:
        runs.append((name, overrides))
        evaluator = SimpleNamespace(state=SimpleNamespace(metrics={"val_dice": 0.5}))
        return SimpleNamespace(parser=SimpleNamespace(get_parsed_content=lambda _: evaluator))

    monkeypatch.setattr(module, "run_bundle", run_bundle)
    module.main(shared_data, tmp_path, quick=True)
    (_, first), (_, second) = runs
    assert first["phase"] == "features" and first["start_from"] is None
    assert second["phase"] == "prompts" and second["start_from"] == str(tmp_path / "features" / "best")
    counts = Counter(Path(path).stem for path in first["datalist_file"])
    assert counts == module.COPIES
    for name in ("CT", "MR", "US", "hippocampus"):
        held_out = {entry["image"] for entry in read_datalist(tmp_path / f"held_out_{name}.json")["test"]}
        kept = json.dumps(json.loads((tmp_path / f"{name}.json").read_text()))
        assert held_out and not any(Path(image).name in kept and image in kept for image in held_out)
