"""The bundle of all three stages, as MONAI runs it: inference on tiny random stages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from monai.bundle import verify_metadata
from PIL import Image

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.workflows import bundle_folder, run_bundle

BUNDLE = "coronary_pipeline"
CONFIGS = bundle_folder(BUNDLE) / "configs"


@pytest.fixture
def settings(stages: SimpleNamespace, pictures: Path, tmp_path: Path) -> dict[str, object]:
    return {
        "dataset_dir": str(pictures / "4.png"),
        "output_dir": str(tmp_path / "out"),
        "vessels": str(stages.vessels),
        "segments": str(stages.segments),
        "stenosis": str(stages.stenosis),
        "pretrained": str(stages.base),
        "device": "cpu",
    }


def test_the_command_writes_segments_lesions_and_report(settings: dict[str, object], tmp_path: Path):
    """`python -m monai.bundle run`, as its documentation has it."""
    (tmp_path / "in").mkdir()
    source = Path(str(settings["dataset_dir"]))
    (tmp_path / "in" / "4.png").write_bytes(source.read_bytes())
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    settings |= {"dataset_dir": str(tmp_path / "in"), "score_threshold": 0.0, "view": "[-30, 20]"}
    command = [sys.executable, "-m", "monai.bundle", "run", f"--config_file={CONFIGS / 'inference.yaml'}"]
    path = os.pathsep.join(filter(None, [str(CONFIGS.parents[2]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [*command, *(f"--{key}={value}" for key, value in settings.items())],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr  # one file is bad
    assert "4.png: done" in done.stdout and "bad.png: expected" in done.stdout
    folder = tmp_path / "out" / "4"
    segments = np.asarray(Image.open(folder / "segments.png"))
    assert segments.shape == (70, 60) and segments.max() < len(ARCADE_CLASS_NAMES)
    report = json.loads((folder / "report.json").read_text())
    assert [row["stage"] for row in report["stages"]] == ["vessels", "segments", "stenosis"]
    assert report["image"]["view"] == {"primary_deg": -30.0, "secondary_deg": 20.0}
    assert "lesions" in report and "segments" in report


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [({"segments": None}, ["vessels"]), ({"stenosis": None}, ["vessels", "segments"])],
)
def test_later_stages_can_be_left_out(
    settings: dict[str, object], tmp_path: Path, left_out: dict[str, None], expected: list[str]
):
    if "segments" in left_out:
        del settings["stenosis"]
    run_bundle(BUNDLE, "inference.yaml", settings | left_out)
    report = json.loads((tmp_path / "out" / "4" / "report.json").read_text())
    assert [row["stage"] for row in report["stages"]] == expected


def test_metadata_fits_its_schema(tmp_path: Path):
    schema = tmp_path / "schema.json"
    schema.write_bytes((Path(__file__).parent / "metadata_schema.json").read_bytes())
    verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=schema)
    content = json.loads((CONFIGS / "metadata.json").read_text())
    channels = content["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert [channels[str(number)] for number in range(26)] == ARCADE_CLASS_NAMES


def test_layout_is_that_of_the_model_zoo():
    assert {path.name for path in CONFIGS.iterdir()} == {"metadata.json", "logging.conf", "inference.yaml"}
    assert os.listdir(CONFIGS.parent / "docs") == ["README.md"]
