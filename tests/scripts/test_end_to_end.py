"""The scripts as a user starts them, on ARCADE itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_train_name_compare_and_forget_on_arcade(shared_data: Path, tmp_path: Path):
    arcade = shared_data / "arcade"
    if not (arcade / "syntax").is_dir():
        pytest.skip(f"ARCADE is missing: {arcade / 'syntax'}")

    def run(name: str, *arguments: object) -> None:
        command = [sys.executable, REPOSITORY / "scripts" / f"{name}.py", *arguments]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        ended = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr[-3000:]

    run("train_shipped", arcade, "--quick", "--work", "work", "--out", "shipped")
    cards = {path.parent.name for path in (tmp_path / "shipped").glob("*/card.json")}
    assert cards == {"vessels", "segments", "stenosis"}
    stages = ["--vessels", "shipped/vessels", "--segments", "shipped/segments"]
    annotations = arcade / "syntax" / "val" / "annotations" / "val.json"
    data = ["--datalist", "work/arcade_segments/datalist.json", "--annotations", annotations]
    run("bench_segments", *data, *stages, "--quick", "--json", "segments.json")
    rows = json.loads((tmp_path / "segments.json").read_text())["results"]
    assert all(0 <= row["arcade_official"] <= 1 for row in rows)
    grid = REPOSITORY / "scripts" / "ablations" / "rank.yaml"
    options = ["--set", "dataset_dir=work/arcade_vessels", "--out", "rank", "--json", "rank.json"]
    run("ablate", grid, "--quick", *options)
    rows = json.loads((tmp_path / "rank.json").read_text())["results"]
    assert [row["cell"] for row in rows[:3]] == ["lora#r=4", "lora#r=16", "lora#r=64"]
    run("bench_forgetting", arcade, "--quick", "--work", "forgetting", "--json", "forgetting.json")
    rows = json.loads((tmp_path / "forgetting.json").read_text())["results"]
    assert len({row["vessel_dice"] for row in rows if row["chain"] == "adapters"}) == 1
