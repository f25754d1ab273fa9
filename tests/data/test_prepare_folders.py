"""Two folders of pictures or volumes: several classes, colours, partners, errors."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import DatasetError, SliceSettings, prepare_folders, read_datalist
from monai_lora_sam.transforms import LoadColourd, LoadLabeld

NAMES = ["background", "disc", "cup"]


class Folders:
    """Write images and masks of the same names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in ("images", "masks"):
            (root / part).mkdir()

    def picture(self, name: str, seed: int) -> None:
        mask = np.zeros((20, 24), np.uint8)
        mask[4:16, 4:18] = 1
        mask[8:12, 8:12] = 2
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(self.root / "images" / f"{name}.png")
        Image.fromarray(mask).save(self.root / "masks" / f"{name}.png")

    def volume(self, name: str, seed: int) -> None:
        label = np.zeros((14, 12, 5), np.uint8)
        label[2:12, 2:10, 1:4] = 1
        pixels = np.random.default_rng(seed).integers(1, 90, label.shape).astype(np.int16)
        for part, array in (("images", pixels), ("masks", label)):
            nibabel.save(
                nibabel.Nifti1Image(array, np.diag([1, 1, 3, 1])), self.root / part / f"{name}.nii.gz"
            )

    def prepare(self, names=("background", "organ"), **options) -> dict:
        folders = self.root / "images", self.root / "masks"
        return read_datalist(prepare_folders(*folders, self.root / "out", names, **options))


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_colour_pictures_stay_where_they_are_with_several_classes(folders: Folders) -> None:
    for number in range(4):
        folders.picture(str(number), number)
    content = folders.prepare(NAMES, modality="OP", task="objects", validation_fraction=0.25)
    assert (content["class_names"], content["task"]) == (NAMES, "objects")
    assert (len(content["training"]), len(content["validation"])) == (3, 1)
    entry = content["training"][0]
    assert Path(entry["image"]).parent == folders.root / "images" and entry["modality"] == "OP"
    item = LoadLabeld(keys="label", classes=3)(LoadColourd(keys="image")(entry))
    expected = np.asarray(Image.open(entry["image"])).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(item["image"].numpy(), expected, atol=1e-6)
    assert item["label"].unique().tolist() == [0, 1, 2]
    assert not (folders.root / "out" / "slices").exists()


def test_volumes_become_slices(folders: Folders) -> None:
    for number in range(3):
        folders.volume(f"v{number}", number)
    seen: list[tuple[int, int]] = []
    content = folders.prepare(
        settings=SliceSettings(per_volume=2),
        modality="MR",
        progress=lambda done, count: seen.append((done, count)),
    )
    entries = [*content["training"], *content["validation"]]
    assert sorted({entry["case_id"] for entry in entries}) == ["v0", "v1", "v2"] and len(entries) == 6
    assert {(entry["modality"], entry["pixel_spacing_mm"]) for entry in entries} == {("MR", 1.0)}
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_volumes_without_partner_are_listed_together(folders: Folders) -> None:
    for number in range(3):
        folders.volume(f"v{number}", number)
    (folders.root / "images" / "v0.nii.gz").unlink()
    (folders.root / "masks" / "v1.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"(?s)v1.nii.gz.*expected a mask.*v0.nii.gz.*expected an image"):
        folders.prepare()


def test_pictures_and_volumes_do_not_mix(folders: Folders) -> None:
    folders.picture("a", 0)
    folders.volume("b", 1)
    with pytest.raises(ValueError, match=r"expected pictures or volumes, found both: a\.png and b\.nii\.gz"):
        folders.prepare()


def test_settings_of_volumes_and_names_are_checked(folders: Folders) -> None:
    folders.picture("a", 0)
    with pytest.raises(
        ValueError, match="expected volumes for window, axis, channel and slices, found pictures"
    ):
        folders.prepare(NAMES, settings=SliceSettings(window="ct_lung"))
    with pytest.raises(ValueError, match=r"expected labels 0\.\.1 or 0/255, found \[2\]"):
        folders.prepare()
    for names in (["background"], ["background", "a", "a"], ["background", ""]):
        with pytest.raises(ValueError, match="class names: expected background and one or more others"):
            folders.prepare(names)


def test_a_damaged_volume_is_named(folders: Folders) -> None:
    for number in range(2):
        folders.volume(f"v{number}", number)
    path = folders.root / "images" / "v0.nii.gz"
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(DatasetError, match=r"v0\.nii\.gz"):
        folders.prepare()


def test_real_colour_pictures(shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "drive"
    for part, source in (("images", "images"), ("masks", "manual")):
        (tmp_path / part).mkdir()
        for path in sorted((real / source).iterdir())[:2]:
            (tmp_path / part / path.name).symlink_to(path)
    path = prepare_folders(
        tmp_path / "images", tmp_path / "masks", tmp_path / "out", ["background", "vessel"]
    )
    image = LoadColourd(keys="image")(read_datalist(path)["training"][0])["image"]
    red, _, blue = image.mean((1, 2)).tolist()
    assert image.shape == (3, 584, 565) and red > 2 * blue  # a fundus is red
