"""The stages that come with the package are there, whole, and small."""

from __future__ import annotations

import pytest

from monai_lora_sam.adapters import verify_folder
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.stages import read_stage_card


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("vessels", "view_segmentation"),
        ("vessels_phantom", "view_segmentation"),
        ("segments", "view_segmentation"),
        ("stenosis", "lesions"),
    ],
)
def test_each_is_whole_and_its_head_is_known(name: str, head: str):
    card = verify_folder(SHIPPED / name)
    assert "type" not in card["head"], "cards from before heads were named stay as they are"
    assert read_stage_card(SHIPPED / name)["head"]["type"] == head
    assert card["modality"] == "XA"


def test_all_of_them_take_few_megabytes():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 6e6
