"""One script trains the shipped stages: here on a few small pictures, stage upon stage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from monai_lora_sam.adapters import family_tree, list_adapters, read_card


def test_three_stages_with_their_scores_and_parents(
    script, one_thread, small, arcade: Path, phantoms: Path, tmp_path: Path, monkeypatch
):
    shipped = script("train_shipped")
    for name, stage in shipped.STAGES.items():
        own = {
            key: value
            for key, value in stage.settings.items()
            if key in ("feature_cache", "feature_variants")
        }
        monkeypatch.setitem(shipped.STAGES, name, replace(stage, settings={**own, **small}))
    out, work = tmp_path / "out", tmp_path / "work"
    for name in shipped.STAGES:
        metrics = shipped.train(name, arcade, phantoms, out, work, processes=1, quick=False)
        card = read_card(out / name)
        assert card["metrics"] == metrics and card["version"] == "1"
        sources = {key.split("_")[0] for key in metrics}
        assert sources == ({"arcade"} if name == "vessels" else {"arcade", "phantom"})
        assert "Popov" in card["training_data"] and f"--only {name}" in card["made_by"]
        assert card["fingerprint"] == read_card(work / name / "last")["fingerprint"]
    (vessels,) = family_tree(list_adapters(out))
    assert [vessels.card["name"], vessels.children[0].card["name"]] == ["vessels", "segments"]
    assert [child.card["name"] for child in vessels.children[0].children] == ["stenosis"]
    # ARCADE's four training images count twice beside the four drawn ones.
    mixed = json.loads((work / "segments_data" / "datalist.json").read_text())
    assert len(mixed["training"]) == 12 and len(mixed["validation"]) == 4


def test_an_unknown_stage_is_refused_before_anything_is_drawn(script, tmp_path: Path):
    with pytest.raises(typer.BadParameter, match=r"expected stages among .*found \['vessel'\]"):
        script("train_shipped").main(tmp_path, work=tmp_path / "work", only=["vessel", "segments"])
    assert not (tmp_path / "work").exists()


def test_scores_that_are_undefined_become_null(script):
    finite = script("train_shipped").finite
    assert finite(float("nan")) is None and finite(0.123456) == 0.1235
