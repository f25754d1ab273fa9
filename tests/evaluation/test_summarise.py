"""Summaries by object and modality against means by hand."""

from __future__ import annotations

import math

import pytest

from monai_lora_sam.evaluation import summarise


def row(dataset: str, modality: str, name: str, dice: float, distance: float, mode: str = "box") -> dict:
    return {
        "dataset": dataset,
        "modality": modality,
        "object": name,
        "mode": mode,
        "choice": "single",
        "empty": int(math.isnan(distance)),
        "dice": dice,
        "jaccard": dice / 2,
        "hd_px": distance,
        "hd95_px": distance,
        "asd_px": distance,
        "nsd": dice,
    }


def test_means_medians_and_empty_masks() -> None:
    rows = [
        row("a", "CT", "Liver", 0.9, 3.0),
        row("a", "CT", "Liver", 0.0, math.nan),
        row("a", "CT", "Liver", 0.6, 5.0),
        row("a", "CT", "Spleen", 0.3, 1.0),
        row("b", "", "Node", 0.4, 2.0, mode="1 click"),
    ]
    found = {(item["group"], item["mode"]): item for item in summarise(rows)}
    assert set(found) == {
        ("CT Liver", "box"),
        ("CT Spleen", "box"),
        ("CT, all", "box"),
        ("unknown modality Node", "1 click"),
        ("unknown modality, all", "1 click"),
    }
    liver = found["CT Liver", "box"]
    assert (liver["objects"], liver["empty"]) == (3, 1)
    assert liver["dice"]["mean"] == pytest.approx(0.5) and liver["dice"]["median"] == pytest.approx(0.6)
    # The empty mask counts as Dice 0 and has no distance.
    assert liver["hd_px"]["mean"] == pytest.approx(4) and liver["hd_px"]["count"] == 2
    assert found["CT, all", "box"]["dice"]["mean"] == pytest.approx(1.8 / 4)


def test_objects_of_one_name_in_two_data_sets_stay_apart() -> None:
    rows = [row("a", "CT", "Liver", 0.9, 3.0), row("b", "CT", "Liver", 0.1, 3.0)]
    groups = [item["group"] for item in summarise(rows)]
    assert groups == ["CT Liver (a)", "CT Liver (b)", "CT, all"]
