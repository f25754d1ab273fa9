"""The benchmark of trained vessel stages: its scores against scores by hand, its interval, its errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image

from monai_lora_sam.data import write_datalist
from monai_lora_sam.encoders import build_encoder, save_encoder
from monai_lora_sam.networks import build_segmenter
from monai_lora_sam.stages import save_stage


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    """Two small angiograms of a vertical vessel, the second without any vessel in its label."""
    entries = []
    for index, rows in enumerate((slice(10, 80), slice(0, 0))):
        picture, label = np.full((90, 70), 180, np.uint8), np.zeros((90, 70), np.uint8)
        picture[10:80, 30:36] = 60
        label[rows, 30:36] = 1
        for name, pixels in (("image", picture), ("label", label)):
            Image.fromarray(pixels).save(tmp_path / f"{name}_{index}.png")
        entries.append({key: str(tmp_path / f"{key}_{index}.png") for key in ("image", "label")})
    return write_datalist(
        tmp_path / "datalist.json",
        name="two",
        task="vessels",
        class_names=["background", "vessel"],
        splits={"validation": entries},
    )


class _Oracle:
    """A pipeline that finds the upper half of the vessel."""

    def probability(self, angiogram):
        found = (angiogram.pixels < 0.5).astype(np.float32)
        found[45:] = 0.0
        return found


def test_scores_are_those_by_hand_and_empty_labels_do_not_count(script, datalist):
    bench = script("bench_vessels")
    entries = bench.read_datalist(datalist)["validation"]
    scored = bench.score(_Oracle(), entries)
    # 35 of 70 rows: 2 · 35 / (35 + 70)
    assert scored["dice"]["mean"] == pytest.approx(2 / 3)
    # all of the predicted skeleton is inside; about half of the true one is found
    assert scored["cldice"]["mean"] == pytest.approx(2 / 3, abs=0.03)
    assert scored["recall"]["mean"] == pytest.approx(1 / 2)
    assert {scored[name]["count"] for name in ("dice", "cldice", "recall")} == {1}
    assert [image["dice"] for image in scored["images"]] == [pytest.approx(2 / 3, abs=1e-5), None]


def test_a_stage_is_scored_through_the_pipeline_both_ways(script, datalist, tmp_path, capsys):
    torch.manual_seed(0)
    encoder = build_encoder("tiny", image_size=56)
    save_encoder(encoder, tmp_path / "base")
    network = build_segmenter(encoder, "view_segmentation", name="vessels", strategy="frozen")
    save_stage(network, tmp_path / "stage", task="vessels", class_names=["vessel"])
    bench = script("bench_vessels")
    bench.main(
        datalist,
        stage=[f"mine={tmp_path / 'stage'}"],
        weights=str(tmp_path / "base"),
        device="cpu",
        json_file=tmp_path / "scores.json",
        quick=True,
    )
    written = json.loads((tmp_path / "scores.json").read_text())
    assert [(row["stage"], row["inference"], row["refiner"]) for row in written["results"]] == [
        ("mine", "whole", "without"),
        ("mine", "whole", "with"),
        ("mine", "tiled", "without"),
        ("mine", "tiled", "with"),
    ]
    for row in written["results"][:2]:
        pipeline = bench.CoronaryPipeline(
            tmp_path / "stage", refiner=row["refiner"] == "with", device="cpu", pretrained=tmp_path / "base"
        )
        again = bench.score(pipeline, bench.read_datalist(datalist)["validation"])
        assert row["dice"] == again["dice"]
    assert "mine" in capsys.readouterr().out


def test_a_split_without_images_is_refused(script, datalist):
    with pytest.raises(typer.BadParameter, match="no images in the split 'test'"):
        script("bench_vessels").main(datalist, split="test")


def test_an_unknown_choice_of_the_refiner_is_refused(script, datalist):
    with pytest.raises(typer.BadParameter, match="expected with or without, found 'both'"):
        script("bench_vessels").main(datalist, refiner=["both"])


def test_a_missing_stage_ends_in_one_line(script, datalist, tmp_path, capsys):
    with pytest.raises(typer.Exit) as ended:
        script("bench_vessels").main(datalist, stage=[f"none={tmp_path / 'none'}"])
    assert ended.value.exit_code == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_a_bare_name_is_a_shipped_stage(script):
    bench = script("bench_vessels")
    assert bench.parse_stage("vessels") == ("vessels", bench.SHIPPED / "vessels")
    assert bench.parse_stage("mine=a/b") == ("mine", Path("a/b"))
