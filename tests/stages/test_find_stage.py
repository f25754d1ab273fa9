"""Stages by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.stages import find_stage, installed_folders

#: The file, which the function of its name hides.
module = sys.modules["monai_lora_sam.stages.find_stage"]


def test_a_folder_stays_and_a_name_is_found(tmp_path: Path) -> None:
    assert find_stage(tmp_path) == tmp_path
    assert SHIPPED in installed_folders()
    assert find_stage("vessels") == SHIPPED / "vessels"


def test_an_adapter_of_this_package_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = AdapterStack(build_encoder("tiny", image_size=56))
    stack.add("us", r=1, targets="qv")
    stack.save("us", tmp_path / "tiny" / "us")
    monkeypatch.setattr(module, "SHIPPED_ADAPTERS", tmp_path)
    assert installed_folders()[0] == tmp_path and find_stage("us") == tmp_path / "tiny" / "us"
    monkeypatch.setattr(module, "SHIPPED_ADAPTERS", tmp_path / "none")
    assert tmp_path not in installed_folders()


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(FileNotFoundError, match=r"found 'vesels' \(nearest: 'vessels'\)"):
        find_stage("vesels")
