"""The bundle of all three stages, as MONAI runs it: inference on tiny random stages."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

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


def test_metadata_names_the_segments():
    content = json.loads((CONFIGS / "metadata.json").read_text())
    channels = content["network_data_format"]["outputs"]["segments"]["channel_def"]
    assert [channels[str(number)] for number in range(26)] == ARCADE_CLASS_NAMES
