"""Labelled data of four forms by one function; anything else is an error that lists them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import SliceSettings, check_splits, prepare_labelled, read_datalist, write_datalist


def save_picture(path: Path, seed: int | None) -> None:
    """Save a random picture, or a mask where there is no seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((20, 20), np.uint8)
    pixels[4:14, 4:14] = 1
    if seed is not None:
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 20), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(3):
        save_picture(tmp_path / "images" / f"{number}.png", number)
        save_picture(tmp_path / "masks" / f"{number}.png", None)
    return tmp_path


def test_two_folders(pictures: Path) -> None:
    names = ["background", "lung"]
    path = prepare_labelled(pictures / "images", pictures / "masks", out=pictures / "out", class_names=names)
    content = read_datalist(path)
    assert path == pictures / "out" / "datalist.json" and content["class_names"] == names
    assert len(content["training"]) == 2 and len(content["validation"]) == 1


def test_a_datalist_or_its_folder_stays(pictures: Path) -> None:
    entry = {"image": str(pictures / "images" / "0.png"), "label": str(pictures / "masks" / "0.png")}
    path = write_datalist(
        pictures / "mine" / "datalist.json",
        name="a",
        task="t",
        class_names=["b"],
        splits={"training": [entry]},
    )
    renamed = write_datalist(
        pictures / "mine" / "other.json", name="a", task="t", class_names=["b"], splits={"training": [entry]}
    )
    assert prepare_labelled(path, out=pictures / "out") == path
    assert prepare_labelled(path.parent, out=pictures / "out") == path
    assert prepare_labelled(renamed, out=pictures / "out") == renamed
    assert not (pictures / "out").exists()
    (pictures / "images" / "0.png").unlink()
    with pytest.raises(ValueError, match="expected a file, found nothing"):
        prepare_labelled(path, out=pictures / "out")


def test_a_decathlon_folder(tmp_path: Path) -> None:
    pairs = []
    for number in range(2):
        label = np.zeros((12, 12, 4), np.uint8)
        label[2:10, 2:10, 1:3] = 1
        pixels = np.random.default_rng(number).integers(1, 90, label.shape).astype(np.int16)
        pairs.append({"image": f"imagesTr/{number}.nii", "label": f"labelsTr/{number}.nii"})
        for array, path in zip((pixels, label), pairs[-1].values(), strict=True):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / path)
    (tmp_path / "dataset.json").write_text(
        json.dumps({"labels": {"0": "background", "1": "organ"}, "modality": {"0": "MRI"}, "training": pairs})
    )
    settings = SliceSettings(per_volume=1)
    content = read_datalist(prepare_labelled(tmp_path, out=tmp_path / "out", settings=settings))
    assert content["class_names"] == ["background", "organ"] and content["name"] == tmp_path.name
    assert len(content["training"]) == len(content["validation"]) == 1


@pytest.mark.parametrize("published", ["test_data", "train_data"])
def test_cosmos_without_training_images_is_split(tmp_path: Path, published: str) -> None:
    for number in range(4):
        name = f"9_Spleen_{number}_1.png"
        save_picture(tmp_path / published / "9_Spleen" / "images" / name, number)
        save_picture(tmp_path / published / "9_Spleen" / "labels" / name, None)
    info = tmp_path / "data_infor_json" / "9_Spleen.json"
    info.parent.mkdir()
    info.write_text('{"info": {"1": "Spleen"}, "color": {"1": 1}}')
    path = prepare_labelled(tmp_path, out=tmp_path / "out", validation_fraction=0.25)
    content = read_datalist(path)
    check_splits(content, path)
    expected = (3, 1, 0) if published == "test_data" else (4, 0, 0)
    assert tuple(len(content[split]) for split in ("training", "validation", "test")) == expected
    assert any("no training images" in text for text in content["warnings"]) == (published == "test_data")


def test_other_data_is_an_error_that_lists_the_forms(pictures: Path) -> None:
    for source in (pictures, pictures / "images", pictures / "images" / "0.png"):
        with pytest.raises(ValueError, match="in one of four forms") as caught:
            prepare_labelled(source, out=pictures / "out")
        for word in ("datalist.json", "Decathlon", "COSMOS-1050K", "two folders"):
            assert word in str(caught.value)
    with pytest.raises(FileNotFoundError, match="none: expected labelled data, found nothing"):
        prepare_labelled(pictures / "none", out=pictures / "out")
    with pytest.raises(
        NotADirectoryError, match="none: expected a folder of images or of masks, found nothing"
    ):
        prepare_labelled(pictures / "images", pictures / "none", out=pictures / "out")


def test_options_that_a_form_does_not_take_are_refused(pictures: Path) -> None:
    path = write_datalist(
        pictures / "datalist.json",
        name="a",
        task="t",
        class_names=["b"],
        splits={"training": [{"image": str(pictures / "images" / "0.png")}]},
    )
    for options in (
        {"class_names": ["background", "a"]},
        {"modality": "CT"},
        {"settings": SliceSettings(axis=1)},
    ):
        with pytest.raises(ValueError, match=r"expected no .* for a datalist\.json or its folder, found one"):
            prepare_labelled(path, out=pictures / "out", **options)
