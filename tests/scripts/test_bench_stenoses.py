"""Scores of stenoses with and without the lumen networks: a column for each choice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from monai_lora_sam.coronary.phantom import prepare_phantoms


@pytest.fixture(scope="module")
def datalist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_phantoms(tmp_path_factory.mktemp("phantoms"), 2, 8, validation_fraction=0.5)


def test_each_choice_of_lumen_networks_gets_a_column(script, datalist, tmp_path, capsys):
    bench = script("bench_stenoses")
    bench.main(datalist, json_file=tmp_path / "scores.json")
    results = json.loads((tmp_path / "scores.json").read_text())["results"]
    assert list(results) == ["none", "refiner", "both"]
    assert all("f1_distance" in column and column["seconds_per_image"] > 0 for column in results.values())
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("none", "refiner", "both", "f1 distance"))


def test_an_unknown_choice_is_refused(script, datalist, capsys):
    with pytest.raises(typer.Exit):
        script("bench_stenoses").main(datalist, lumen=["all"])
    assert "--lumen: expected none, refiner, both, found 'all'" in capsys.readouterr().err


def test_lesions_in_healthy_images_are_counted_apart(script):
    lesion = {"box_xyxy": [10.0, 10.0, 20.0, 20.0], "score": 0.9}
    figures = script("bench_stenoses").summary([[lesion], [lesion] * 3, []], [[], [], []], [[lesion], [], []])
    assert figures["false_lesions_per_healthy_image"] == 1.5 and figures["healthy_images"] == 2
