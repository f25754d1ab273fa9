"""Pictures that are no coronary angiograms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_lora_sam.coronary.pipeline import CoronaryPipeline, shipped_stages
from monai_lora_sam.coronary.pipeline.doubts import doubt_about


def test_scattered_and_uncertain_vessels_raise_a_doubt() -> None:
    tree = np.zeros((60, 60), bool)
    tree[30, 5:55] = tree[5:55, 30] = True
    sure = np.where(tree, 0.95, 0.05)
    assert doubt_about(sure, tree) is None
    pieces = np.zeros_like(tree)
    pieces[::10, ::10] = True
    doubt = doubt_about(np.where(pieces, 0.8, 0.1), pieces)
    assert doubt is not None and "largest piece is 3% of them" in doubt and "probability 0.80" in doubt
    assert doubt_about(np.zeros((9, 9)), np.zeros((9, 9), bool)) is None


def test_real_angiograms_raise_none_and_other_pictures_do(shared_data: Path) -> None:
    if not shipped_stages(1):
        pytest.skip("the shipped weights are missing")
    pipeline = CoronaryPipeline(shipped_stages(1)["vessels"], device="cpu")
    folders = {
        "arcade/syntax/val/images": False,
        "cosmos/test_data/90_BreastUltrasound/images": True,
        "drive/images": True,
    }
    for folder, doubted in folders.items():
        for path in sorted((shared_data / folder).glob("*.png"))[:2]:
            warnings = pipeline(path).report["warnings"]
            assert warnings[0].startswith("The picture does not look like") is doubted, path
