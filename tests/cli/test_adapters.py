"""``monai-lora-sam adapters list``: a tree of versions, readable at 80 columns."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner, Result

from monai_lora_sam.adapters import AdapterStack, read_card
from monai_lora_sam.cli.main import app
from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.stages import new_stage, save_stage


@pytest.fixture(scope="module")
def versions(stages: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Put two versions of stage 2 side by side, and a stage 3 on the second."""
    root = tmp_path_factory.mktemp("models")
    for name in ("vessels", "segments"):
        shutil.copytree(getattr(stages, name), root / name.replace("segments", "segments_v1"))
    narrow = {"width": 8, "mixed_precision": False}
    with torch.random.fork_rng():
        torch.manual_seed(7)
        second = new_stage(
            build_encoder("tiny", stages.base, 56),
            parents=[root / "vessels"],
            head="view_segmentation",
            name="segments",
            out_channels=26,
            lora={"r": 4, "targets": "qkv"},
            **narrow,
        )
        save_stage(
            second,
            root / "segments_v2",
            task="segments",
            class_names=ARCADE_CLASS_NAMES,
            version="2",
            metrics={"val_macro_f1": 0.4321, "val_accuracy": None},
            training_data="lines [drawn]",
        )
        detector = new_stage(
            build_encoder("tiny", stages.base, 56),
            reads={"vessels": root / "vessels", "segments": root / "segments_v2"},
            head="lesions",
            **narrow,
        )
        save_stage(detector, root / "stenosis", task="stenosis", class_names=["stenosis"])
    return root


@pytest.fixture
def copy(versions: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(versions, tmp_path / "models"))


def listed(root: Path) -> Result:
    # Not terminal_width: rich reads the environment, and that is what a pipe and a terminal of 80 columns give.
    return CliRunner().invoke(app, ["adapters", "list", str(root)], env={"COLUMNS": "80"})


def depth_of(output: str, folder: str) -> int:
    """Return the column at which the name of the adapter in a folder starts."""
    (line,) = (line for line in output.splitlines() if re.search(rf"version \d+  {folder}$", line.rstrip()))
    return len(re.match(r"[^\w]*", line)[0])


def test_each_version_is_shown_and_a_child_below_the_one_it_was_trained_on(versions: Path):
    result = listed(versions)
    assert result.exit_code == 0, result.output
    depths = [depth_of(result.output, name) for name in ("vessels", "segments_v1", "segments_v2", "stenosis")]
    assert depths[0] < depths[1] == depths[2] < depths[3]
    lines = result.output.splitlines()
    folders = [line.split()[-1] for line in lines if " version " in line]
    assert folders == ["vessels", "segments_v1", "segments_v2", "stenosis"]
    for name, rank in (("segments_v1", 2), ("segments_v2", 4)):
        card = read_card(versions / name)
        size = sum((versions / name / file).stat().st_size for file in card["files"]) / 1e6
        (facts,) = (line for line in lines if card["fingerprint"][:8] in line)
        assert f"lora, r = {rank}, {size:.2f} MB" in facts
    assert "segments version 2" in result.output and "frozen, " in result.output
    assert "val_macro_f1 0.432" in result.output and "None" not in result.output
    assert "lines [drawn]: segments_v2" in result.output
    assert "missing" not in result.output
    assert max(map(len, lines)) <= 80


def test_a_missing_parent_is_said(copy: Path):
    fingerprint = read_card(copy / "segments_v2")["fingerprint"]
    shutil.rmtree(copy / "segments_v2")
    result = listed(copy)
    assert result.exit_code == 0
    assert depth_of(result.output, "stenosis") == depth_of(result.output, "segments_v1")
    assert f"missing: segments (fingerprint {fingerprint[:8]}" in result.output


def test_a_damaged_one_is_shown_with_what_is_wrong(copy: Path):
    path = copy / "segments_v2" / "head.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    result = listed(copy)
    assert result.exit_code == 0
    unusable = result.output.split("unusable")[1]
    told = re.sub(r"\s", "", unusable)
    assert "segments_v2:" in told and "head.safetensors:expectedSHA-256" in told
    assert "missing: segments" in result.output, "what stenosis needs is there, but cannot be used"


def test_long_names_are_wrapped_not_cut(copy: Path):
    deep = copy / ("a_long_folder_name_" * 3) / ("and_another_one_" * 3)
    shutil.copytree(copy / "vessels", deep)
    result = listed(copy)
    assert max(map(len, result.output.splitlines())) <= 80
    assert "a_long_folder_name_" * 3 in re.sub(r"[\s│├└─]", "", result.output) and "…" not in result.output


def test_one_adapters_own_folder_and_an_empty_one(versions: Path, tmp_path: Path):
    assert depth_of(listed(versions / "vessels").output, "vessels") > 0
    result = listed(tmp_path)
    assert result.exit_code == 1 and "expected folders with a card.json" in result.output


def test_adapters_on_4_bits_are_listed_apart_and_merged_in_full_precision(
    stages: SimpleNamespace, tmp_path: Path
):
    pytest.importorskip("bitsandbytes")
    for quantise in (None, "nf4"):
        stack = AdapterStack(build_encoder("tiny", stages.base, 56, quantise=quantise))
        stack.add("liver", r=2)
        stack.save("liver", tmp_path / "models" / str(quantise))
    output = listed(tmp_path / "models").output
    base = f"(base {stack.encoder.fingerprint[:8]}"
    assert f"{base})" in output and f"{base}, nf4)" in output
    arguments = ["--out", str(tmp_path / "merged"), "--weights", str(stages.base)]
    result = CliRunner().invoke(app, ["adapters", "merge", str(tmp_path / "models" / "nf4"), *arguments])
    assert result.exit_code == 0, result.output
    merged = build_encoder("tiny", tmp_path / "merged")
    assert merged.quantisation is None
    assert merged.fingerprint == stack.merge("liver").fingerprint
