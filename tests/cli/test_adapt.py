"""The command adapt: a whole run, and one-line errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.utils import set_determinism
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def unseeded():
    yield
    set_determinism(None)


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    for index in range(5):
        mask = np.zeros((60, 64), np.uint8)
        mask[10 + index : 40, 12 : 44 + 2 * index] = 255
        pixels = np.random.default_rng(index).integers(0, 60, mask.shape) + mask // 2
        for name, array in (("images", pixels.astype(np.uint8)), ("masks", mask)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / name / f"{index}.png")
    return [str(tmp_path / "images"), str(tmp_path / "masks")]


def test_a_run_prints_scores_and_the_command(folders: list[str], tmp_path: Path):
    out = tmp_path / "out"
    keys = "--device cpu --image-size 64 --batch 2 --epochs 1 --prompts_per_image 2 --rounds 0 --lora#r 2"
    result = run(app, ["adapt", *folders, "--name", "blocks", "--out", str(out), *keys.split()])
    assert result.exit_code == 0, result.output
    assert "data: 5 images of 5 cases with 5 foreground" in result.output
    assert "plan: 4 images to train on, 1 to validate, 64 px, batch 2" in result.output
    assert "5 points" in result.output and "monai-lora-sam segment IMAGE" in result.output
    assert (out / "report.html").is_file() and (out / "adapter" / "card.json").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--epoch", "3"], "nearest: --epochs"),
        (["--name", "a b"], "name: expected letters"),
        (["--encoder", "nothing"], "nothing"),
        (["--device", "tpu"], "device"),
        (["more"], "expected IMAGES and MASKS"),
    ],
)
def test_errors_have_one_line(folders: list[str], tmp_path: Path, more: list[str], message: str):
    line = ["adapt", *folders, "--name", "x", "--out", str(tmp_path / "out"), *more]
    result = run(app, line)
    assert result.exit_code == 1
    assert message in result.output and "Traceback" not in result.output


def test_data_must_be_there(tmp_path: Path):
    line = ["adapt", str(tmp_path / "none"), "--name", "x", "--out", str(tmp_path / "out")]
    result = run(app, line)
    assert result.exit_code == 1 and "expected labelled data, found nothing" in " ".join(
        result.output.split()
    )
