"""Stages by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.stages import find_stage, installed_folders


def test_a_folder_stays_and_a_name_is_found(tmp_path: Path) -> None:
    assert find_stage(tmp_path) == tmp_path
    assert SHIPPED in installed_folders()
    assert find_stage("vessels") == SHIPPED / "vessels"


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(FileNotFoundError, match=r"found 'vesels' \(nearest: 'vessels'\)"):
        find_stage("vesels")
