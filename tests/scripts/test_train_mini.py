"""The training of the shipped student, in a tiny run on real data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from monai_lora_sam.adapters import read_card
from monai_lora_sam.data import read_datalist
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import PromptableSegmenter


@pytest.mark.slow
def test_a_quick_run_writes_a_student_with_its_scores(
    script: Callable[[str], ModuleType], shared_data: Path, tmp_path: Path
) -> None:
    module = script("train_mini")
    module.main(shared_data, out=tmp_path / "mini", work=tmp_path / "work", quick=True)
    card = read_card(tmp_path / "mini")
    assert card["box_dice"].keys() == {"CT", "MR", "US", "hippocampus"}
    for scores in card["box_dice"].values():
        assert scores["objects"] >= 2 and 0 <= scores["student"] <= 1 and scores["teacher"] > 0
    assert card["settings"]["frozen_blocks"] == 3 and card["teacher"]["name"] == "medsam_lite"
    student = PromptableSegmenter.from_pretrained(tmp_path / "mini").stack.encoder.model
    imagenet = build_encoder("mini", "imagenet").model
    for name, tensor in imagenet.state_dict().items():
        frozen = name.startswith(("stem.", "layers.0.", "layers.1.", "layers.2."))
        if frozen and tensor.is_floating_point():
            # Frozen, but for the rounding to float16.
            assert student.state_dict()[name].sub(tensor).abs().max() < 1e-2
    given = json.loads((tmp_path / "work" / "student" / "history.jsonl").read_text().splitlines()[0])
    assert given["val_unexplained"] > 0


@pytest.mark.slow
def test_held_out_images_train_nothing(
    script: Callable[[str], ModuleType], shared_data: Path, tmp_path: Path
) -> None:
    module = script("train_mini")
    counts = Counter(Path(path).stem for path in module.prepare(shared_data, tmp_path, 4, 4))
    assert counts == module.COPIES
    for name in ("CT", "MR", "US", "hippocampus"):
        held_out = {entry["case_id"] for entry in read_datalist(tmp_path / f"held_out_{name}.json")["test"]}
        kept = read_datalist(tmp_path / f"{name}.json")
        seen = {entry["case_id"] for part in ("training", "validation") for entry in kept[part]}
        assert held_out and not held_out & seen
