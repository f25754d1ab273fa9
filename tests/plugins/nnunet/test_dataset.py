"""Export to nnU-Net's data sets and reading back: files against their origin, and refused inputs."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import DatasetError, prepare_decathlon, read_datalist, read_decathlon
from plugins.nnunet import export_pictures, export_volumes, predicted_pictures, predicted_slices

CLASSES = ["background", "bar"]


def test_pictures_have_one_channel_and_labels_of_class_indices(splits, tmp_path: Path):
    dataset = export_pictures(splits, CLASSES, tmp_path / "raw", "bars", 7)
    assert dataset.folder == tmp_path / "raw" / "Dataset007_bars"
    description = json.loads((dataset.folder / "dataset.json").read_text())
    assert description["labels"] == {"background": 0, "bar": 1}
    assert description["channel_names"] == {"0": "picture"}
    assert (description["numTraining"], description["file_ending"]) == (5, ".png")
    for split, part in (("training", "imagesTr"), ("validation", "imagesTr"), ("test", "imagesTs")):
        for case, entry in zip(dataset.cases[split], splits[split], strict=True):
            written = np.asarray(Image.open(dataset.folder / part / f"{case}_0000.png"))
            origin = np.asarray(Image.open(entry["image"]).convert("L"))
            assert written.ndim == 2
            assert np.abs(written.astype(int) - origin).max() <= 1
            label = dataset.folder / "labelsTr" / f"{case}.png"
            assert label.is_file() == (split != "test")
            if split != "test":
                mask = np.asarray(Image.open(entry["label"]))
                assert np.array_equal(np.asarray(Image.open(label)), mask // 255)


def test_the_split_is_that_of_the_datalist(splits, tmp_path: Path):
    dataset = export_pictures(splits, CLASSES, tmp_path / "raw", "bars")
    assert dataset.splits == [
        {
            "train": ["training_00000", "training_00001", "training_00002"],
            "val": ["validation_00000", "validation_00001"],
        }
    ]
    record = json.loads((dataset.folder / "export.json").read_text())
    assert record["cases"]["validation_00001"]["image"] == splits["validation"][1]["image"]


def test_a_finished_export_is_kept_and_another_one_refused(splits, tmp_path: Path):
    dataset = export_pictures(splits, CLASSES, tmp_path / "raw", "bars")
    mark = dataset.folder / "imagesTr" / "training_00000_0000.png"
    before = mark.stat().st_mtime_ns
    assert export_pictures(splits, CLASSES, tmp_path / "raw", "bars") == dataset
    assert mark.stat().st_mtime_ns == before
    fewer = {**splits, "training": splits["training"][:2]}
    with pytest.raises(ValueError, match="expected an export of the same files, found another"):
        export_pictures(fewer, CLASSES, tmp_path / "raw", "bars")


def test_predictions_come_back_onto_their_entries(splits, tmp_path: Path):
    dataset = export_pictures(splits, CLASSES, tmp_path / "raw", "bars")
    out = tmp_path / "predictions"
    out.mkdir()
    for case, entry in zip(dataset.cases["validation"], splits["validation"], strict=True):
        Image.fromarray(np.asarray(Image.open(entry["label"])) // 255).save(out / f"{case}.png")
    found = list(predicted_pictures(dataset, "validation", splits["validation"], out))
    for array, entry in zip(found, splits["validation"], strict=True):
        assert np.array_equal(array * 255, np.asarray(Image.open(entry["label"])))
    with pytest.raises(ValueError, match="expected 2 entries of validation, found 1"):
        list(predicted_pictures(dataset, "validation", splits["validation"][:1], out))
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(out / "validation_00001.png")
    with pytest.raises(ValueError, match="expected \\(36, 40\\) as its image, found \\(5, 5\\)"):
        list(predicted_pictures(dataset, "validation", splits["validation"], out))
    (out / "validation_00000.png").unlink()
    with pytest.raises(FileNotFoundError):
        list(predicted_pictures(dataset, "validation", splits["validation"], out))


@pytest.fixture
def decathlon(tmp_path: Path) -> Path:
    """Write three volumes of 24 x 28 x 6 voxels with two classes in the Decathlon's layout."""
    root = tmp_path / "Task99_Blocks"
    pairs = []
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    for index in range(3):
        pixels = np.random.default_rng(index).normal(0, 1, (24, 28, 6)).astype(np.float32)
        label = np.zeros(pixels.shape, np.uint8)
        label[4:14, 6:18, 1:5], label[14:22, 6:18, 2 + index : 4 + index] = 1, 2
        affine = np.diag([1, 1, 3, 1]).astype(float)
        affine[:3, 3] = (-5, 7, 11)
        nibabel.save(nibabel.Nifti1Image(pixels + 3 * label, affine), root / "imagesTr" / f"b_{index}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, affine), root / "labelsTr" / f"b_{index}.nii.gz")
        pairs.append({"image": f"./imagesTr/b_{index}.nii.gz", "label": f"./labelsTr/b_{index}.nii.gz"})
    labels = {"0": "background", "1": "low", "2": "high"}
    content = {"name": "Blocks", "modality": {"0": "MRI"}, "labels": labels, "training": pairs}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_volumes_keep_place_and_values_and_come_back_as_slices(decathlon: Path, tmp_path: Path):
    task = read_decathlon(decathlon)
    content = read_datalist(prepare_decathlon(decathlon, tmp_path / "slices", validation_fraction=0.34))
    held_out = {entry["case_id"] for entry in content["validation"]}
    parts = {
        "training": [v for v in task.volumes if v.case_id not in held_out],
        "test": [v for v in task.volumes if v.case_id in held_out],
    }
    dataset = export_volumes(parts, task.class_names, tmp_path / "raw", "blocks", modality="MR")
    assert json.loads((dataset.folder / "dataset.json").read_text())["channel_names"] == {"0": "MR"}
    for case, volume in zip(dataset.cases["training"], parts["training"], strict=True):
        for part, origin, ending in (
            ("imagesTr", volume.image, "_0000.nii.gz"),
            ("labelsTr", volume.label, ".nii.gz"),
        ):
            written, own = nibabel.load(dataset.folder / part / f"{case}{ending}"), nibabel.load(origin)
            assert np.allclose(written.affine, own.affine)
            assert np.array_equal(written.get_fdata(), own.get_fdata())
    out = tmp_path / "predictions"
    out.mkdir()
    for case, volume in zip(dataset.cases["test"], parts["test"], strict=True):
        (out / f"{case}.nii.gz").write_bytes(Path(volume.label).read_bytes())
    found = list(predicted_slices(dataset, "test", parts["test"], content["validation"], out))
    assert len(found) == len(content["validation"]) > 2
    for array, entry in zip(found, content["validation"], strict=True):
        assert np.array_equal(array, np.asarray(Image.open(entry["label"])))
    with pytest.raises(ValueError, match="expected a slice of an exported volume, found"):
        list(predicted_slices(dataset, "test", parts["test"], content["training"], out))


def test_all_bad_files_are_reported_together(splits, tmp_path: Path):
    Path(splits["training"][0]["image"]).write_text("no picture")
    Image.fromarray(np.full((33, 40), 3, np.uint8)).save(splits["training"][1]["label"])
    with pytest.raises(DatasetError) as caught:
        export_pictures(splits, CLASSES, tmp_path / "raw", "bars")
    assert len(caught.value.errors) == 2
    assert not (tmp_path / "raw" / "Dataset001_bars").exists()


@pytest.mark.parametrize(
    ("classes", "name", "number", "message"),
    [
        (["background", "bar", "bar"], "bars", 1, "class names: expected 'background' and then different"),
        (["vessel", "bar"], "bars", 1, "class names: expected 'background'"),
        (CLASSES, "../bars", 1, "name: expected letters, digits"),
        (CLASSES, "bars", 1000, "number: expected 1 to 999"),
    ],
)
def test_names_that_nnunet_cannot_take_are_refused(splits, tmp_path, classes, name, number, message):
    with pytest.raises(ValueError, match=message):
        export_pictures(splits, classes, tmp_path / "raw", name, number)


def test_entries_without_a_label_and_without_training_are_refused(splits, tmp_path: Path):
    without = [{"image": entry["image"]} for entry in splits["training"]]
    with pytest.raises(ValueError, match="expected a label, found none \\(3 such of training\\)"):
        export_pictures({"training": without}, CLASSES, tmp_path, "bars")
    with pytest.raises(ValueError, match="expected training entries, found none"):
        export_pictures({"test": splits["test"]}, CLASSES, tmp_path, "bars")
