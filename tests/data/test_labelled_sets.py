"""Sets by modality: each case in one split, and the same split in each preparation."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from monai_lora_sam.data import labelled_sets


def write_sets(root: Path) -> None:
    """Write five hearts of two slices in COSMOS-1050K's layout, and four volumes of a Decathlon task."""
    mask = np.zeros((24, 20), np.uint8)
    mask[4:18, 4:16] = 85
    generator = np.random.default_rng(0)
    for part in ("images", "labels"):
        (root / "cosmos" / "test_data" / "22_Heart" / part).mkdir(parents=True)
    (root / "cosmos" / "data_infor_json").mkdir()
    info = {"info": {"1": "Ventricle"}, "color": {"1": 85}, "modality": "MR"}
    (root / "cosmos" / "data_infor_json" / "22_Heart.json").write_text(json.dumps(info))
    for case in range(5):
        for index in range(2):
            for part, pixels in (
                ("images", generator.integers(0, 256, mask.shape, np.uint8)),
                ("labels", mask),
            ):
                path = root / "cosmos" / "test_data" / "22_Heart" / part / f"22_Heart_{case}_{index}.png"
                Image.fromarray(pixels).save(path)
    task = root / "msd_hippocampus"
    training = []
    for case in range(4):
        label = np.zeros((16, 12, 4), np.uint8)
        label[2:12, 2:10, 1:3] = 1
        for folder, array in (("imagesTr", generator.normal(size=label.shape)), ("labelsTr", label)):
            (task / folder).mkdir(parents=True, exist_ok=True)
            path = task / folder / f"h_{case}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), np.eye(4)), path)
        training.append({"image": f"./imagesTr/h_{case}.nii.gz", "label": f"./labelsTr/h_{case}.nii.gz"})
    labels = {"0": "background", "1": "Anterior"}
    content = {"name": "H", "modality": {"0": "MRI"}, "labels": labels, "training": training, "test": []}
    (task / "dataset.json").write_text(json.dumps(content))


def test_cases_are_held_out_for_good(tmp_path: Path) -> None:
    write_sets(tmp_path)
    first = labelled_sets(tmp_path, tmp_path / "first", per_volume=1)
    again = labelled_sets(tmp_path, tmp_path / "again", per_volume=2)
    assert len(first) == 2 and "hippocampus" in first
    for name, parts in first.items():
        cases = {split: {entry["case_id"] for entry in entries} for split, entries in parts.items()}
        assert all(cases.values()) and sum(map(len, cases.values())) == len(set().union(*cases.values()))
        assert {split: {e["case_id"] for e in entries} for split, entries in again[name].items()} == cases
    assert sum(map(len, first["hippocampus"].values())) == 4
    assert sum(map(len, again["hippocampus"].values())) == 8
