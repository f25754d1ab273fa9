"""``monai-lora-sam qca``, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app

run = CliRunner().invoke


def stripe(values: tuple[int, int]) -> np.ndarray:
    """Draw a vessel 12 px wide with a cosine-shaped stenosis of 50 %, 40 px long, around x = 100."""
    rows, columns = np.mgrid[:90, :200].astype(float)
    shape = np.where(np.abs(columns - 100) < 20, 0.5 + 0.5 * np.cos(np.pi * (columns - 100) / 20), 0.0)
    inside = np.abs(rows - 44.3) < 6 * (1 - 0.5 * shape)
    return np.where(inside, values[1], values[0]).astype(np.uint8)


@pytest.mark.parametrize("values", [(0, 1), (0, 255)])
def test_measures_a_mask_and_writes_the_lesions(values, tmp_path: Path):
    mask, out = tmp_path / "mask.png", tmp_path / "new" / "lesions.json"
    Image.fromarray(stripe(values)).save(mask)
    result = run(app, ["qca", str(mask), "--spacing", "0.3", "--json", str(out)], terminal_width=120)
    assert result.exit_code == 0, result.output
    assert "MLD (mm)" in result.output
    (lesion,) = json.loads(out.read_text())
    assert lesion["percent_diameter_stenosis"] == pytest.approx(50, abs=3)
    assert lesion["mld_px"] == pytest.approx(6, abs=0.3)
    assert lesion["rvd_px"] == pytest.approx(12, abs=0.3)
    assert lesion["length_px"] == pytest.approx(40, rel=0.1)
    assert lesion["mld_xy"] == pytest.approx([100, 44.3], abs=1.5)
    for name in ("mld", "rvd", "length"):
        assert lesion[f"{name}_mm"] == pytest.approx(0.3 * lesion[f"{name}_px"], abs=1e-3)


def test_without_spacing_there_are_no_millimetres(tmp_path: Path):
    mask, out = tmp_path / "mask.png", tmp_path / "lesions.json"
    Image.fromarray(stripe((0, 255))).save(mask)
    result = run(app, ["qca", str(mask), "--json", str(out)], terminal_width=120)
    assert result.exit_code == 0 and "MLD (px)" in result.output
    assert "_mm" not in out.read_text()


def test_an_empty_mask_has_no_lesion(tmp_path: Path):
    mask, out = tmp_path / "mask.png", tmp_path / "lesions.json"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(mask)
    result = run(app, ["qca", str(mask), "--json", str(out)])
    assert result.exit_code == 0 and json.loads(out.read_text()) == []


@pytest.mark.parametrize("spacing", ["0", "-0.3", "nan", "0.0003", "30"])
def test_refuses_a_wrong_spacing(spacing: str, tmp_path: Path):
    mask = tmp_path / "mask.png"
    Image.fromarray(stripe((0, 255))).save(mask)
    result = run(app, ["qca", str(mask), "--spacing", spacing])
    assert result.exit_code == 1 and "--spacing" in result.output and "Traceback" not in result.output


def test_names_a_picture_that_is_no_mask(tmp_path: Path):
    picture = tmp_path / "angiogram.png"
    Image.fromarray(np.arange(64 * 64).reshape(64, 64).astype(np.uint8)).save(picture)
    result = run(app, ["qca", str(picture)])
    assert result.exit_code == 1 and "angiogram.png" in result.output and "Traceback" not in result.output


def test_names_a_missing_file(tmp_path: Path):
    result = run(app, ["qca", str(tmp_path / "nowhere.png")])
    assert result.exit_code == 1 and "nowhere.png" in result.output and "Traceback" not in result.output


def test_help_has_examples():
    result = run(app, ["qca", "--help"])
    assert result.exit_code == 0 and "Example" in result.output


def test_calibrates_by_a_catheter_in_the_angiogram(tmp_path: Path):
    mask, image, out = tmp_path / "mask.png", tmp_path / "image.png", tmp_path / "lesions.json"
    Image.fromarray(stripe((0, 255))).save(mask)
    # A solid cylinder 10 px wide by transmission, along the columns: 6 French are 2 mm, so 0.2 mm per pixel.
    depth = 2 * np.sqrt(np.maximum(25 - (np.arange(90) - 44.5) ** 2, 0))
    Image.fromarray(np.repeat((200 - 8 * depth)[:, None], 200, axis=1).astype(np.uint8)).save(image)
    catheter = ["--image", str(image), "--catheter-french", "6", "--catheter", "30", "44", "170", "45"]
    result = run(app, ["qca", str(mask), *catheter, "--json", str(out)], terminal_width=120)
    assert result.exit_code == 0, result.output
    assert "Catheter: 6 French" in result.output
    (lesion,) = json.loads(out.read_text())
    assert lesion["mld_mm"] == pytest.approx(0.2 * lesion["mld_px"], rel=0.06)
    low, high = lesion["percent_diameter_stenosis_interval"]
    assert low < lesion["percent_diameter_stenosis"] < high
    relative = [end / lesion["mld_mm"] for end in lesion["mld_mm_interval"]]
    assert relative[0] < lesion["mld_px_interval"][0] / lesion["mld_px"]
    assert relative[1] > lesion["mld_px_interval"][1] / lesion["mld_px"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--catheter-french", "6"], "together"),
        (
            [
                "--image",
                "a.png",
                "--catheter-french",
                "6",
                "--catheter",
                "0",
                "0",
                "9",
                "9",
                "--spacing",
                "1",
            ],
            "both",
        ),
    ],
)
def test_half_a_calibration_is_an_error(options, message, tmp_path: Path):
    mask = tmp_path / "mask.png"
    Image.fromarray(stripe((0, 255))).save(mask)
    result = run(app, ["qca", str(mask), *options])
    assert result.exit_code == 1 and message in result.output


def test_the_angiogram_has_the_masks_size(tmp_path: Path):
    mask, image = tmp_path / "mask.png", tmp_path / "image.png"
    Image.fromarray(stripe((0, 255))).save(mask)
    Image.fromarray(np.zeros((64, 48), np.uint8)).save(image)
    catheter = ["--image", str(image), "--catheter-french", "6", "--catheter", "3", "4", "40", "4"]
    result = run(app, ["qca", str(mask), *catheter])
    assert result.exit_code == 1
    assert "image.png: expected 200 × 90 pixels as in" in result.output and "found 48 × 64" in result.output


@pytest.mark.parametrize("place", ["taken", "taken/lesions.json", "folder"])
def test_a_place_where_no_file_can_be_is_said_before_the_analysis(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr("monai_lora_sam.coronary.qca.measure", lambda *_, **__: pytest.fail("measured"))
    result = run(app, ["qca", str(tmp_path / "nowhere.png"), "--json", str(tmp_path / place)])
    assert result.exit_code == 1
    # The file that is there may be replaced; then the missing mask is the first fault.
    expected = {"taken": "nowhere.png", "folder": "found a folder"}.get(place, "taken: expected a folder")
    assert expected in result.output.replace("\n", "")


def test_noise_is_refused_by_name(shared_cases: Path):
    mask = shared_cases / "k_broken" / "noise_mask.png"
    result = run(app, ["qca", str(mask)])
    assert result.exit_code == 1
    assert "noise_mask.png: expected centrelines of at most 50000 px" in result.output.replace("\n", " ")


def test_starts_without_torch(tmp_path: Path):
    mask = tmp_path / "mask.png"
    Image.fromarray(stripe((0, 255))).save(mask)
    code = (
        "import sys; from monai_lora_sam.cli.main import app\n"
        f"try: app(['qca', {str(mask)!r}])\n"
        "except SystemExit as end: code = end.code\n"
        "sys.exit(code or [name for name in ('torch', 'monai') if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "MLD" in done.stdout
