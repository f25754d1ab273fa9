"""``monai-lora-sam prepare`` with folders, a Decathlon task, COSMOS and unions, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam import data, evaluation
from monai_lora_sam.cli import prepare
from monai_lora_sam.cli.main import app

run = CliRunner().invoke


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[str, str]:
    """Write five images with masks."""
    generator = np.random.default_rng(0)
    for part, high in (("images", 255), ("masks", 2)):
        (tmp_path / part).mkdir()
        for number in range(5):
            pixels = generator.integers(0, high, (20, 30), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / part / f"{number}.png")
    return str(tmp_path / "images"), str(tmp_path / "masks")


def test_folders_are_split(pairs: tuple[str, str], tmp_path: Path):
    result = run(app, ["prepare", "folders", *pairs, "--out", str(tmp_path / "data")])
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "data" / "datalist.json").read_text())
    assert (len(datalist["training"]), len(datalist["validation"])) == (4, 1)
    assert (datalist["task"], datalist["class_names"]) == ("segmentation", ["background", "foreground"])
    assert "4 training, 1 validation" in result.output


def test_combine_counts_a_set_twice(pairs: tuple[str, str], tmp_path: Path):
    data = str(tmp_path / "data")
    run(app, ["prepare", "folders", *pairs, "--out", data, "--task", "vessels", "--class-name", "vessel"])
    result = run(
        app, ["prepare", "combine", data, data, "--task", "vessels", "--out", str(tmp_path / "twice")]
    )
    assert result.exit_code == 0, result.output
    assert "8 training, 1 validation" in result.output


def test_combine_refuses_another_task(pairs: tuple[str, str], tmp_path: Path):
    data = str(tmp_path / "data")
    run(app, ["prepare", "folders", *pairs, "--out", data, "--task", "vessels", "--class-name", "vessel"])
    for task in ("segments", "kidney"):
        result = run(app, ["prepare", "combine", data, "--task", task, "--out", str(tmp_path / "other")])
        assert result.exit_code == 1 and f"for the task '{task}'" in result.output


def test_real_folders(shared_data: Path, tmp_path: Path):
    source = shared_data / "cimat_angio" / "train"
    result = run(
        app, ["prepare", "folders", str(source / "images"), str(source / "masks"), "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "datalist.json").read_text())
    assert len(datalist["training"]) + len(datalist["validation"]) == 40


@pytest.fixture
def cosmos(tmp_path: Path) -> Path:
    """Write two labelled images in COSMOS-1050K's layout."""
    root = tmp_path / "cosmos"
    for part, high in (("images", 255), ("labels", 2)):
        folder = root / "test_data" / "9_Spleen" / part
        folder.mkdir(parents=True)
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, high, (20, 30), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"9_Spleen_{number}_1.png")
    (root / "data_infor_json").mkdir()
    (root / "data_infor_json" / "9_Spleen.json").write_text('{"info": {"1": "Spleen"}, "color": {"1": 1}}')
    return root


def test_cosmos_lists_objects(cosmos: Path, tmp_path: Path):
    out = tmp_path / "data"
    result = run(app, ["prepare", "cosmos", str(cosmos), "--out", str(out), "--modality", "9_Spleen=CT"])
    assert result.exit_code == 0, result.output
    assert "2 test" in result.output
    entry = json.loads((out / "datalist.json").read_text())["test"][1]
    assert (entry["modality"], entry["case_id"], entry["objects"][0]["name"]) == (
        "CT",
        "9_Spleen-1",
        "Spleen",
    )


def test_cosmos_refuses_a_modality_without_a_data_set(cosmos: Path, tmp_path: Path):
    result = run(app, ["prepare", "cosmos", str(cosmos), "--out", str(tmp_path / "data"), "--modality", "CT"])
    assert result.exit_code == 1 and "expected DATASET=MODALITY, found 'CT'" in result.output


@pytest.fixture
def decathlon(tmp_path: Path) -> Path:
    """Write three labelled volumes in the layout of the Medical Segmentation Decathlon."""
    root, pairs = tmp_path / "task", []
    for number in range(3):
        label = np.zeros((16, 14, 6), np.uint8)
        label[2:12, 2:10, 1:5] = 1
        label[8:14, 2:13, 3] = 2
        pixels = np.random.default_rng(number).integers(1, 90, label.shape).astype(np.int16)
        pairs.append({"image": f"./imagesTr/{number}.nii.gz", "label": f"./labelsTr/{number}.nii.gz"})
        for array, path in zip((pixels, label), pairs[-1].values(), strict=True):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, np.diag([1, 1, 2, 1])), root / path)
    labels = {"0": "background", "1": "liver", "2": "tumour"}
    content = {"name": "Liver", "labels": labels, "modality": {"0": "MRI"}, "training": pairs}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_decathlon_tells_slices_and_objects(decathlon: Path, tmp_path: Path):
    out = tmp_path / "data"
    result = run(app, ["prepare", "decathlon", str(decathlon), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "8 training, 4 validation" in result.output
    assert "slices of 3 volumes with 12 liver, 3 tumour" in result.output
    line = "--per-volume 1 --window 40,80 --axis 0 --smallest 5 --validation-fraction 1 --seed 3"
    result = run(app, ["prepare", "decathlon", str(decathlon), "--out", str(out), *line.split()])
    assert "3 validation" in result.output and "training" not in result.output
    assert {entry["axis"] for entry in json.loads((out / "datalist.json").read_text())["validation"]} == {0}


def test_folders_of_volumes_with_two_classes(decathlon: Path, tmp_path: Path):
    folders = [str(decathlon / "imagesTr"), str(decathlon / "labelsTr")]
    line = "--class-name liver --class-name tumour --modality MR --per-volume 2"
    result = run(app, ["prepare", "folders", *folders, "--out", str(tmp_path / "data"), *line.split()])
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "data" / "datalist.json").read_text())
    assert content["class_names"] == ["background", "liver", "tumour"]
    assert "4 training, 2 validation" in result.output


def test_the_smallest_object_is_that_of_the_evaluation():
    assert prepare.SMALLEST_OBJECT == data.SMALLEST_OBJECT == evaluation.SMALLEST_OBJECT


def test_folders_without_masks_list_images_alone(pairs: tuple[str, str], tmp_path: Path):
    result = run(app, ["prepare", "folders", pairs[0], "--out", str(tmp_path / "data")])
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "data" / "datalist.json").read_text())
    assert (datalist["task"], datalist["class_names"]) == ("unlabelled", [])
    assert len(datalist["training"]) == 4 and not any("label" in entry for entry in datalist["training"])
