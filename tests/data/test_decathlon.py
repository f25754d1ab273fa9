"""Tasks of the Medical Segmentation Decathlon: quirks of dataset.json, channels, real volumes, errors."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from PIL import Image

from monai_lora_sam.data import (
    DatasetError,
    SliceSettings,
    check_splits,
    prepare_decathlon,
    read_datalist,
    read_decathlon,
)


class Task:
    """Write a miniature of the published layout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content = {
            "name": "Liver",
            "modality": {"0": "CT"},
            "labels": {"0": "background", "2": "tumour", "1": "liver"},
            "training": [],
            "test": ["./imagesTs/liver_9.nii.gz"],
        }
        for folder in ("imagesTr", "labelsTr"):
            (root / folder).mkdir(parents=True)

    def add(self, name: str, seed: int, channels: int | None = None) -> None:
        shape = (16, 12, 6)
        pixels = np.random.default_rng(seed).integers(-100, 200, (*shape, channels) if channels else shape)
        label = np.zeros(shape, np.uint8)
        label[2:12, 2:10, 1:5] = 1
        label[4:12, 3:10, 3] = 2
        for folder, array in (("imagesTr", pixels.astype(np.int16)), ("labelsTr", label)):
            nibabel.save(
                nibabel.Nifti1Image(array, np.diag([1, 1, 2.5, 1])), self.root / folder / f"{name}.nii.gz"
            )
        self.content["training"].append(
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
        )

    def save(self) -> Path:
        (self.root / "dataset.json").write_text(json.dumps(self.content))
        return self.root


@pytest.fixture
def task(tmp_path: Path) -> Task:
    made = Task(tmp_path / "Task03_Liver")
    for number in range(3):
        made.add(f"liver_{number}", number)
    return made


def test_a_task_is_split_by_volume(task: Task, tmp_path: Path) -> None:
    path = prepare_decathlon(task.save(), tmp_path / "out", validation_fraction=0.4)
    content = read_datalist(path)
    assert (content["name"], content["task"]) == ("Liver", "objects")
    assert content["class_names"] == ["background", "liver", "tumour"]
    assert (len(content["training"]), len(content["validation"])) == (8, 4)
    assert {entry["modality"] for entry in content["training"]} == {"CT"}
    check_splits(content, path)
    assert len({entry["case_id"] for entry in content["validation"]}) == 1
    assert [thing["name"] for thing in content["training"][2]["objects"]] == ["liver", "tumour"]
    theirs = load_decathlon_datalist(path, True, "training")
    assert [entry["image"] for entry in theirs] == [entry["image"] for entry in content["training"]]
    task.content["modality"] = {"0": "MRI"}
    other = read_datalist(prepare_decathlon(task.save(), tmp_path / "mr"))
    ct, mr = (np.asarray(Image.open(entries["training"][0]["image"])) for entries in (content, other))
    assert (ct != mr).any()  # a window for CT, percentiles for MR


def test_doubles_of_macos_are_passed_over(task: Task) -> None:
    (task.root / "imagesTr" / "._liver_0.nii.gz").write_bytes(b"Mac OS X")
    task.content["training"].append(
        {"image": "./imagesTr/._liver_0.nii.gz", "label": "./labelsTr/._liver_0.nii.gz"}
    )
    assert [volume.case_id for volume in read_decathlon(task.save()).volumes] == [
        "liver_0",
        "liver_1",
        "liver_2",
    ]


def test_volumes_of_several_channels_need_one(tmp_path: Path) -> None:
    task = Task(tmp_path / "brain")
    task.content["modality"] = {"0": "FLAIR", "1": "T1w"}
    for number in range(2):
        task.add(f"brain_{number}", number, channels=2)
    task.save()
    for channel, found in ((None, "none"), (2, "2")):
        with pytest.raises(
            ValueError, match=f"dataset.json: expected a channel out of 0 FLAIR, 1 T1w, found {found}"
        ):
            prepare_decathlon(task.root, tmp_path / "out", SliceSettings(channel=channel))
    settings = SliceSettings(channel=1, per_volume=1, window="50,300")
    entry = read_datalist(prepare_decathlon(task.root, tmp_path / "out", settings))["training"][0]
    stored = np.asarray(nibabel.load(entry["volume"]).dataobj)[..., entry["slice"], 1].T
    np.testing.assert_allclose(np.asarray(Image.open(entry["image"])), (stored + 100) * 0.85, atol=0.51)
    assert entry["modality"] == "MR"


def test_a_channel_of_one_is_refused(task: Task, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected no channel, since the volumes have one, found 0"):
        prepare_decathlon(task.save(), tmp_path / "out", SliceSettings(channel=0))


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("CT", "CT"),
        ("MRI", "MR"),
        ("mp-MRI", "MR"),
        ("FLAIR", "MR"),
        ("T1gd", "MR"),
        ("PET", "PT"),
        ("X", "X"),
    ],
)
def test_modalities_get_dicoms_names(task: Task, name: str, modality: str) -> None:
    task.content["modality"] = {"0": name}
    assert read_decathlon(task.save()).modality(None) == modality


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": []}, "training: expected a list of pairs"),
        ({"training": ["a.nii.gz"]}, "expected the path 'image'"),
        ({"training": [{"image": "imagesTr/liver_0.nii.gz"}]}, "expected the path 'label'"),
        ({"training": [{"image": "../a.nii.gz", "label": "/b.nii.gz"}]}, "expected a file inside"),
        ({"labels": {"0": "background"}}, "labels: expected values from 0 without gaps"),
        ({"labels": {"0": "background", "2": "liver"}}, "labels: expected values from 0 without gaps"),
        ({"labels": {"0": "a", "1": "a"}}, "labels: expected a name of its own"),
        ({"labels": {"background": 0}}, "labels: expected names by value"),
        ({"labels": None}, "labels: expected names by value"),
        ({"modality": {"0": 7}}, "modality: expected names by channel"),
    ],
)
def test_wrong_files_are_refused(task: Task, change: dict, message: str) -> None:
    task.content |= change
    with pytest.raises(ValueError, match=r"dataset\.json") as caught:
        read_decathlon(task.save())
    assert message in str(caught.value)


def test_a_volume_named_twice_or_missing_is_refused(task: Task, tmp_path: Path) -> None:
    (task.root / "labelsTr" / "liver_1.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"liver_1\.nii\.gz"):
        prepare_decathlon(task.save(), tmp_path / "out")
    assert not (tmp_path / "out" / "datalist.json").exists()
    task.content["training"].append(task.content["training"][0])
    with pytest.raises(
        DatasetError, match=r"expected a name of its own, found liver_0\.nii\.gz a second time"
    ):
        read_decathlon(task.save())


def test_real_volumes(shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "msd_hippocampus"
    content = json.loads((real / "dataset.json").read_text())
    content["training"] = content["training"][:2]
    root = tmp_path / "Task04"
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
        for pair in content["training"]:
            path = pair["image" if folder == "imagesTr" else "label"]
            (root / path).symlink_to(real / path)
    (root / "dataset.json").write_text(json.dumps(content))
    found = read_datalist(prepare_decathlon(root, tmp_path / "out", validation_fraction=0.5))
    assert found["class_names"] == ["background", "Anterior", "Posterior"]
    for entry in [*found["training"], *found["validation"]]:
        label = np.asarray(nibabel.load(entry["volume"].replace("imagesTr", "labelsTr")).dataobj)
        expected = label[..., entry["slice"]].T
        np.testing.assert_array_equal(np.asarray(Image.open(entry["label"])), expected)
        assert max(thing["area_px"] for thing in entry["objects"]) >= 51
        assert (entry["modality"], entry["pixel_spacing_mm"]) == ("MR", 1.0)
