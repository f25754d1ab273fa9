"""COSMOS-1050K's layout: objects, cases, duplicates, both names of the validation folder, errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import DatasetError, check_splits, prepare_cosmos, read_datalist

INFO = {"info": {"1": "Ventricle", "2": "Wall"}, "color": {"1": 85, "2": 170}}


def label(*levels: int) -> np.ndarray:
    """Draw bars of 4 x 20 pixels, one of each level."""
    pixels = np.zeros((24, 20), np.uint8)
    for index, level in enumerate(levels):
        pixels[1 + 5 * index : 5 + 5 * index] = level
    return pixels


class Cosmos:
    """Write a miniature of the published layout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def info(self, dataset: str = "22_Heart", content: dict = INFO) -> None:
        (self.root / "data_infor_json").mkdir(exist_ok=True)
        (self.root / "data_infor_json" / f"{dataset}.json").write_text(json.dumps(content))

    def add(self, name: str, mask: np.ndarray, split="test_data", dataset="22_Heart", seed=None) -> None:
        self.count += 1
        generator = np.random.default_rng(self.count if seed is None else seed)
        for part, pixels in (("images", generator.integers(0, 256, (24, 20), np.uint8)), ("labels", mask)):
            folder = self.root / split / dataset / part
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name)

    def prepare(self, **options) -> dict:
        return read_datalist(prepare_cosmos(self.root, self.root / "out", **options))


@pytest.fixture
def cosmos(tmp_path: Path) -> Cosmos:
    made = Cosmos(tmp_path)
    made.info()
    return made


def test_objects_have_names_grey_levels_and_areas(cosmos: Cosmos) -> None:
    cosmos.add("22_Heart_3_10.png", label(170, 85))
    cosmos.add("22_Heart_3_11.png", label(170))
    cosmos.add("22_Heart_4_2_0.png", np.repeat(label(85)[..., None], 3, axis=2))  # Grey repeated in RGB.
    content = cosmos.prepare()
    assert content["class_names"] == ["background", "Ventricle", "Wall"]
    first, second, colour = content["test"]
    assert first["objects"] == [
        {"name": "Ventricle", "grey_level": 85, "area_px": 80},
        {"name": "Wall", "grey_level": 170, "area_px": 80},
    ]
    assert [thing["name"] for thing in colour["objects"]] == ["Ventricle"]
    assert (first["dataset"], first["modality"]) == ("22_Heart", "MR")
    assert first["case_id"] == second["case_id"] == "22_Heart-3" != colour["case_id"] == "22_Heart-4"


@pytest.mark.parametrize("folder", ["valid", "val_data"])
def test_both_names_of_the_validation_folder_are_read(cosmos: Cosmos, folder: str) -> None:
    cosmos.add("22_Heart_1_1.png", label(85), split=folder)
    cosmos.add("22_Heart_2_1.png", label(85), split="train_data")
    content = cosmos.prepare()
    assert [len(content[split]) for split in ("training", "validation", "test")] == [1, 1, 0]


def test_images_without_objects_are_left_out_and_counted(cosmos: Cosmos) -> None:
    cosmos.add("22_Heart_1_1.png", label(85))
    cosmos.add("22_Heart_1_2.png", label())
    cosmos.add("22_Heart_1_3.png", label())
    content = cosmos.prepare()
    assert len(content["test"]) == 1
    assert content["warnings"] == ["22_Heart: test: 2 images without an object left out"]


def test_duplicates_are_one_case_and_join_the_cases_of_their_names(cosmos: Cosmos) -> None:
    cosmos.add("benign_1.png", label(85), seed=5)
    cosmos.add("benign_2.png", label(85), seed=5)
    cosmos.add("benign_3.png", label(85))
    cosmos.add("22_Heart_7_1.png", label(85), seed=9)
    cosmos.add("22_Heart_8_1.png", label(85), seed=9)
    cases = {Path(entry["image"]).stem: entry["case_id"] for entry in cosmos.prepare()["test"]}
    assert cases["benign_1"] == cases["benign_2"] != cases["benign_3"]
    assert cases["benign_1"].startswith("image-")
    assert cases["22_Heart_7_1"] == cases["22_Heart_8_1"] == "22_Heart-7"


def test_no_case_is_in_two_splits(cosmos: Cosmos) -> None:
    cosmos.add("22_Heart_1_1.png", label(85), split="train_data")
    cosmos.add("22_Heart_2_1.png", label(85), split="train_data")
    cosmos.add("22_Heart_1_2.png", label(85), split="test_data")
    content = cosmos.prepare()
    check_splits(content)
    assert [Path(entry["image"]).name for entry in content["training"]] == ["22_Heart_2_1.png"]
    assert "training: 1 images left out, since their case" in content["warnings"][0]


def test_modality_comes_from_json_name_or_option(cosmos: Cosmos) -> None:
    for dataset, content in (
        ("7_Liver_CT", INFO),
        ("8_Foot", {**INFO, "modality": "DX"}),
        ("9_Spleen", INFO),
    ):
        cosmos.info(dataset, content)
        cosmos.add("a.png", label(85), dataset=dataset)
    content = cosmos.prepare()
    assert {e["dataset"]: e.get("modality") for e in content["test"]} == {
        "7_Liver_CT": "CT",
        "8_Foot": "DX",
        "9_Spleen": None,
    }
    assert "9_Spleen: expected a modality" in content["warnings"][0]
    content = cosmos.prepare(modalities={"9_Spleen": "MR"})
    assert {e["modality"] for e in content["test"]} == {"CT", "DX", "MR"} and "warnings" not in content
    with pytest.raises(ValueError, match=r"expected modalities of 7_Liver_CT, .* found one of '5_Eye'"):
        cosmos.prepare(modalities={"5_Eye": "OP"})


def test_unknown_grey_levels_and_other_errors_are_reported_together(cosmos: Cosmos) -> None:
    cosmos.add("22_Heart_1_1.png", label(85, 99))
    cosmos.add("22_Heart_1_2.png", label(85)[:5])
    cosmos.add("22_Heart_1_3.png", label(85))
    (cosmos.root / "test_data/22_Heart/labels/22_Heart_1_3.png").unlink()
    cosmos.add("22_Heart_1_4.png", np.dstack([label(85), label(170), label()]))
    with pytest.raises(DatasetError) as caught:
        cosmos.prepare()
    found = {Path(file).name: messages for file, messages in caught.value.errors.items()}
    assert found["22_Heart_1_1.png"] == ["expected the grey levels 0, 85, 170, found [99]"]
    assert (
        "expected (24, 20)" in found["22_Heart_1_2.png"][0]
        and "found (5, 20)" in found["22_Heart_1_2.png"][0]
    )
    assert found["22_Heart_1_3.png"] == ["expected a label for this image, found none"]
    assert "or colours" in found["22_Heart_1_4.png"][0]
    assert not (cosmos.root / "out").exists()


@pytest.mark.parametrize(
    "content,message",
    [
        ({"info": {"1": "a"}}, "expected objects 'info' and 'color' with the same keys"),
        ({"info": {"1": "a"}, "color": {"2": 5}}, "expected objects 'info' and 'color' with the same keys"),
        ({"info": {"1": "a"}, "color": {"1": [1, 2, 3]}}, "expected a grey level from 1 to 255"),
        ({"info": {"1": "a", "2": "b"}, "color": {"1": 5, "2": 5}}, "expected a grey level for each object"),
        ({"info": {"1": 3}, "color": {"1": 5}}, "expected names"),
    ],
)
def test_damaged_descriptions_are_refused(cosmos: Cosmos, content: dict, message: str) -> None:
    cosmos.info(content=content)
    cosmos.add("22_Heart_1_1.png", label(85))
    with pytest.raises(DatasetError, match=message):
        cosmos.prepare()


def test_missing_description_and_other_folders_are_refused(cosmos: Cosmos, tmp_path: Path) -> None:
    cosmos.add("a.png", label(85), dataset="9_Spleen")
    with pytest.raises(DatasetError, match=r"9_Spleen\.json"):
        cosmos.prepare()
    with pytest.raises(
        ValueError, match="expected data sets in one of train_data, valid, val_data, test_data"
    ):
        prepare_cosmos(tmp_path / "data_infor_json", tmp_path / "out")


def test_real_samples(shared_data: Path, tmp_path: Path) -> None:
    content = read_datalist(prepare_cosmos(shared_data / "cosmos", tmp_path))
    counts = {(e["modality"], thing["name"]): 0 for e in content["test"] for thing in e["objects"]}
    for entry in content["test"]:
        for thing in entry["objects"]:
            counts[entry["modality"], thing["name"]] += 1
    assert counts == {
        ("CT", "PancreaticMass"): 16,
        ("MR", "LeftVentricle"): 14,
        ("MR", "LeftVentricularMyocardium"): 14,
        ("MR", "RightVentricle"): 12,
        ("US", "BreastTumour"): 60,
    }
    pancreas = {entry["case_id"] for entry in content["test"] if entry["dataset"] == "6_Pancreas"}
    assert "6_Pancreas-18" in pancreas and len(pancreas) == 8
