"""The benchmark of named segments: its scores against those by hand, its ways of naming, its errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.data import prepare_arcade, read_task
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.images import read_label
from monai_lora_sam.stages import new_stage, save_stage


class _Oracle:
    """A pipeline that finds the whole vessel, and names it as the truth does, or all of it as segment 7."""

    def __init__(self, truth: np.ndarray, right_with_view: bool = False) -> None:
        self.truth = truth
        self.right_with_view = right_with_view

    def predict(self, angiogram):
        named = self.truth
        if self.right_with_view and angiogram.view is None:
            named = np.where(self.truth > 0, 7, 0)
        classes = np.eye(len(ARCADE_CLASS_NAMES), dtype=np.float32)[named].transpose(2, 0, 1)
        return (self.truth > 0).astype(np.float32), classes, None


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    """Save a stage 2 that has learnt nothing, on the shipped stage 1."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = new_stage(
            build_encoder("tiny", True, 56),
            parents=[SHIPPED / "vessels"],
            head="view_segmentation",
            name="segments",
            out_channels=len(ARCADE_CLASS_NAMES),
            width=8,
            lora={"r": 2, "targets": "qkv"},
        )
    return save_stage(network, tmp_path / "segments", task="segments", class_names=ARCADE_CLASS_NAMES)


def test_scores_are_those_by_hand(script, phantoms: Path):
    bench = script("bench_segments")
    entries = read_task(phantoms, "segments")["training"]
    cells = [bench.Cell("true", view, graph=False) for view in ("unknown", "known")]
    for entry in entries:
        truth = read_label(entry["label"], len(ARCADE_CLASS_NAMES))
        bench.score_image(_Oracle(truth, right_with_view=True), entry, truth, cells)
    blind, told = (bench.summary(cell, [6], None) for cell in cells)
    # Half of a vessel is segment 6, and every second image has a view.
    assert blind["accuracy"] == pytest.approx(0.5) and told["accuracy"] == pytest.approx(0.75)
    # Of "6" nothing is found: F1 0. Of "7": precision 1/2, recall 1: F1 2/3.
    assert blind["macro_f1"] == pytest.approx(1 / 3, abs=1e-4) and blind["macro_f1_rare"] == 0
    assert blind["f1_per_class"]["7"] == pytest.approx(2 / 3, abs=1e-4)
    assert blind["set_exact_match"] == 0 and told["set_exact_match"] == 0.5
    assert blind["set_f1"] == pytest.approx(2 / 3, abs=1e-4) and blind["f1_per_class"]["1"] is None


def test_a_label_of_another_size_is_refused(script, phantoms: Path):
    entry = read_task(phantoms, "segments")["training"][0]
    with pytest.raises(ValueError, match=r"expected \(64, 64\) as its image, found \(9, 9\)"):
        script("bench_segments").score_image(_Oracle(np.zeros((64, 64))), entry, np.zeros((9, 9)), [])


def test_each_way_of_naming_through_the_pipeline(
    script, one_thread, phantoms: Path, segments: Path, tmp_path: Path, capsys
):
    script("bench_segments").main(
        phantoms / "datalist.json",
        vessels=SHIPPED / "vessels",
        segments=segments,
        limit=2,
        json_file=tmp_path / "s.json",
    )
    written = json.loads((tmp_path / "s.json").read_text())
    ways = [(row["view"], row["mask"], row["graph"]) for row in written["results"]]
    assert len(set(ways)) == 8 and ways[0] == ("unknown", "true", False)
    assert all(0 <= row["accuracy"] <= 1 for row in written["results"])
    assert "arcade_official" not in written["results"][0]
    assert "2 images" in capsys.readouterr().out


def test_arcades_own_scorer_against_its_annotations(script, one_thread, arcade: Path, tmp_path: Path):
    bench = script("bench_segments")
    datalist = prepare_arcade(arcade, tmp_path / "data", "segments")
    annotations = arcade / "syntax" / "val" / "annotations" / "val.json"
    by_name = bench.instances_from_coco(json.loads(annotations.read_text()))
    entries = read_task(datalist, "segments")["validation"]
    cell = bench.Cell("predicted", "unknown", graph=False)
    for entry in entries:
        truth = read_label(entry["label"], len(ARCADE_CLASS_NAMES))
        bench.score_image(_Oracle(truth), entry, truth, [cell])
    published = [by_name[Path(entry["image"]).name] for entry in entries]
    row = bench.summary(cell, [], published)
    assert row["arcade_official"] == pytest.approx(1, abs=0.05)  # polygons against pixels
    assert row["arcade_corrected"] == pytest.approx(1, abs=0.05)
    assert row["macro_f1_rare"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "test"}, "expected images in the split 'test', found none"),
        ({"split": "everything"}, "'everything'"),
        ({"segments": Path("nowhere")}, "nowhere"),
        ({"datalist": Path("nowhere.json")}, "nowhere.json: expected a datalist"),
    ],
)
def test_what_does_not_fit_is_one_line(script, phantoms: Path, segments: Path, capsys, change, message):
    arguments = {"datalist": phantoms, "vessels": SHIPPED / "vessels", "segments": segments} | change
    with pytest.raises(typer.Exit) as ended:
        script("bench_segments").main(**arguments)
    assert ended.value.exit_code == 1
    assert message in capsys.readouterr().err
