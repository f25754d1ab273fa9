"""Slices of labelled volumes against nibabel's arrays; resumption, settings, errors."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import (
    DatasetError,
    LabelledVolume,
    SliceSettings,
    check_splits,
    class_weights,
    split_by_case,
    write_volume_slices,
)
from monai_lora_sam.evaluation import labelled_objects

NAMES = ["background", "liver", "tumour"]
#: (column, row, slice), as nibabel has it.
SHAPE = (12, 10, 9)


def make_label() -> np.ndarray:
    """Draw a liver of 60 pixels in slices 2 to 7, of 6 in slice 1, and a tumour of 4 pixels in slice 4."""
    label = np.zeros(SHAPE, np.uint8)
    label[1:11, 2:8, 2:8] = 1
    label[1:4, 2:4, 1] = 1
    label[5:7, 4:6, 4] = 2
    return label


class Volumes:
    """Write volumes and labels as NIfTI."""

    def __init__(self, root: Path) -> None:
        self.root, self.out = root, root / "out"

    def add(
        self, name: str = "a", pixels=None, label=None, affine=None, label_affine=None, seed: int = 0
    ) -> LabelledVolume:
        affine = np.diag([1.0, 1, 1, 1]) if affine is None else affine
        if pixels is None:
            pixels = np.random.default_rng(seed).integers(-200, 300, SHAPE).astype(np.int16)
        label = make_label() if label is None else label
        paths = self.root / f"{name}.nii.gz", self.root / f"{name}_label.nii.gz"
        for path, array, place in zip(
            paths, (pixels, label), (affine, affine if label_affine is None else label_affine), strict=True
        ):
            nibabel.save(nibabel.Nifti1Image(array, place), path)
        return LabelledVolume(*paths, name)

    def write(self, *volumes: LabelledVolume, modality="CT", names=NAMES, **settings) -> list[dict]:
        self.warnings: list[str] = []
        chosen = SliceSettings(**{"smallest": 50, **settings})
        return write_volume_slices(volumes, self.out, names, chosen, modality, self.warnings)


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path)


def picture(entry: dict, key: str = "image") -> np.ndarray:
    return np.asarray(Image.open(entry[key]))


def test_slices_are_those_of_nibabel_in_the_window(volumes: Volumes) -> None:
    volume = volumes.add()
    entries = volumes.write(volume)
    stored = np.asarray(nibabel.load(volume.image).dataobj).astype(float)
    assert [entry["slice"] for entry in entries] == [2, 3, 4, 5, 6, 7]
    for entry in entries:
        expected = np.clip((stored[..., entry["slice"]].T + 160) / 400, 0, 1) * 255  # level 40, width 400 HU
        assert picture(entry).dtype == np.uint8
        np.testing.assert_allclose(picture(entry), expected, atol=0.51)
        np.testing.assert_array_equal(picture(entry, "label"), make_label()[..., entry["slice"]].T)
        assert entry["case_id"] == "a" and entry["modality"] == "CT" and entry["axis"] == 2
        assert entry["volume"] == str(volume.image) and entry["pixel_spacing_mm"] == 1.0
    assert entries[2]["objects"] == [
        {"name": "liver", "grey_level": 1, "area_px": 56},
        {"name": "tumour", "grey_level": 2, "area_px": 4},
    ]
    assert volumes.warnings == ["1 slices left out, whose objects all have fewer than 50 pixels"]


def test_entries_serve_the_evaluation_and_the_class_weights(volumes: Volumes) -> None:
    entries = volumes.write(volumes.add())
    things, too_small = labelled_objects(entries[2], NAMES)
    assert [(thing.name, int(thing.mask.sum()), too_small) for thing in things] == [("liver", 56, 1)]
    assert len(class_weights(entries, 3)) == 3


def test_percentiles_are_those_of_the_whole_volume(volumes: Volumes) -> None:
    pixels = np.random.default_rng(0).integers(1, 50, SHAPE).astype(np.int16)
    pixels[..., 5] *= 20  # one slice far brighter: the others stay dark beside it
    entries = volumes.write(volumes.add(pixels=pixels), modality="MR")
    low, high = np.percentile(pixels, (0.5, 99.5))
    for entry in entries:
        expected = np.clip((pixels[..., entry["slice"]].T - low) / (high - low), 0, 1) * 255
        np.testing.assert_allclose(picture(entry), expected, atol=0.51)


def test_a_given_window_goes_before_the_modality(volumes: Volumes) -> None:
    entry = volumes.write(volumes.add(pixels=np.full(SHAPE, 50, np.int16) + make_label()), window="50,4")[0]
    assert set(np.unique(picture(entry))) == {128, 191}  # 50 is the middle, 51 three quarters


@pytest.mark.parametrize(
    ("sides", "axis"), [((1, 1, 1), 2), ((1, 3, 1), 0), ((3, 1, 1), 1), ((2, 2, 2.5), 2)]
)
def test_the_axis_is_that_of_the_largest_spacing(volumes: Volumes, sides, axis) -> None:
    """The file's second axis is rows, so its spacing decides on axis 0."""
    volume = volumes.add(affine=np.diag([*sides, 1.0]))
    entries = volumes.write(volume, smallest=1)
    stored = np.asarray(nibabel.load(volume.image).dataobj).transpose(1, 0, 2)
    assert {entry["axis"] for entry in entries} == {axis}
    assert picture(entries[0]).shape == np.take(stored, 0, axis).shape
    labels = make_label().transpose(1, 0, 2)
    for entry in entries:
        np.testing.assert_array_equal(picture(entry, "label"), np.take(labels, entry["slice"], axis))


def test_the_spacing_is_that_of_square_pixels(volumes: Volumes) -> None:
    def affine(*sides: float) -> np.ndarray:
        return np.diag([*sides, 1.0])

    square = volumes.write(volumes.add("a", affine=affine(0.7, 0.7, 5)))
    oblong = volumes.write(volumes.add("b", affine=affine(0.7, 0.9, 5), seed=1))
    across = volumes.write(volumes.add("c", affine=affine(0.7, 0.9, 0.9), seed=2), axis=1, smallest=1)
    assert square[0]["pixel_spacing_mm"] == pytest.approx(0.7)
    assert oblong[0]["pixel_spacing_mm"] is None
    assert across[0]["pixel_spacing_mm"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("count", "kept"), [(1, [5]), (2, [3, 6]), (3, [3, 5, 7]), (6, range(2, 8)), (99, range(2, 8))]
)
def test_slices_are_spread_evenly(volumes: Volumes, count, kept) -> None:
    entries = volumes.write(volumes.add(), per_volume=count)
    assert [entry["slice"] for entry in entries] == list(kept)


def test_masks_of_0_and_255_serve_for_two_classes(volumes: Volumes) -> None:
    label = (make_label() > 0).astype(np.uint8) * 255
    entry = volumes.write(volumes.add(label=label), names=["background", "liver"])[0]
    assert set(np.unique(picture(entry, "label"))) == {0, 1}


def test_a_channel_of_four_dimensions(volumes: Volumes) -> None:
    pixels = np.random.default_rng(0).integers(1, 99, (*SHAPE, 2)).astype(np.int16)
    several = volumes.add(pixels=pixels)
    with pytest.raises(DatasetError, match=r"one channel of four, found the shape \(12, 10, 9, 2\)"):
        volumes.write(several)
    entries = volumes.write(several, channel=1, window="50,100")
    np.testing.assert_allclose(picture(entries[0]), pixels[..., 2, 1].T * 2.55, atol=0.51)


def test_a_killed_run_goes_on(volumes: Volumes, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = [volumes.add("a"), volumes.add("b", seed=1)]
    save, saved = Image.Image.save, []

    def killed(image, path, *rest, **named):
        saved.append(Path(path))
        if len(saved) == 15:  # in the second volume
            raise KeyboardInterrupt
        return save(image, path, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            volumes.write(*pair)
    assert [path.name for path in (volumes.out / "slices").iterdir()] == ["a"]
    first = {path: path.stat().st_mtime_ns for path in (volumes.out / "slices" / "a").iterdir()}
    assert len(volumes.write(*pair)) == 12
    assert {path: path.stat().st_mtime_ns for path in first} == first
    monkeypatch.setattr("monai_lora_sam.data.volume_slices.read_volume", None)  # nothing is read again
    assert volumes.write(*pair) == volumes.write(*pair)


def test_other_settings_files_or_damage_write_again(volumes: Volumes) -> None:
    volume = volumes.add()
    before = volumes.write(volume)
    assert [entry["slice"] for entry in volumes.write(volume, per_volume=1)] == [5]
    assert not Path(before[0]["image"]).exists()
    after = volumes.write(volume)
    assert after == before
    Path(after[0]["label"]).write_bytes(b"damaged")
    volumes.write(volume)
    np.testing.assert_array_equal(picture(after[0], "label"), make_label()[..., 2].T)
    record = volumes.out / "slices" / "a" / "slices.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "files": [1]}))
    assert volumes.write(volume) == before
    changed = np.where(make_label() == 2, 1, make_label())
    volumes.add(label=changed)
    assert len(volumes.write(volume)[2]["objects"]) == 1


def test_all_errors_come_together_and_good_volumes_are_kept(volumes: Volumes) -> None:
    nan = np.zeros(SHAPE, np.float32)
    nan[0, 0, 0] = np.nan
    half, unknown = make_label().astype(np.float32) / 2, make_label() * 3
    moved = np.diag([1.0, 1, 1, 1])
    moved[0, 3] = 1
    wrong = {
        "nan": (volumes.add("nan", pixels=nan), "expected finite voxels, found 1 NaN"),
        "half": (volumes.add("half", label=half), "expected integer labels"),
        "unknown": (volumes.add("unknown", label=unknown), "expected labels 0..2, found [3, 6]"),
        "empty": (volumes.add("empty", label=np.zeros(SHAPE, np.uint8)), "found only background"),
        "shape": (
            volumes.add("shape", label=make_label()[:-1]),
            "expected (10, 12, 9) (rows, columns, slices)",
        ),
        "moved": (volumes.add("moved", label_affine=moved), "found a corner 1 voxels away"),
        "gone": (
            LabelledVolume(volumes.root / "gone.nii", volumes.root / "g.nii", "gone"),
            "expected a file",
        ),
    }
    cut = volumes.add("cut")
    cut.image.write_bytes(cut.image.read_bytes()[:200])
    wrong["cut"] = (cut, "corrupt")
    with pytest.raises(DatasetError) as caught:
        volumes.write(volumes.add("good"), *[volume for volume, _ in wrong.values()])
    assert len(caught.value.errors) == len(wrong)
    for volume, message in wrong.values():
        found = caught.value.errors.get(str(volume.image)) or caught.value.errors[str(volume.label)]
        assert len(found) == 1 and message in found[0], (volume, found)
    assert [path.name for path in (volumes.out / "slices").iterdir()] == ["good"]


def test_both_files_of_a_volume_are_named(volumes: Volumes) -> None:
    nan = np.full(SHAPE, np.nan, np.float32)
    with pytest.raises(DatasetError) as caught:
        volumes.write(volumes.add(pixels=nan, label=make_label() * 5))
    assert sorted(Path(file).name for file in caught.value.errors) == ["a.nii.gz", "a_label.nii.gz"]


def test_copies_of_a_volume_stay_in_one_split(volumes: Volumes) -> None:
    entries = volumes.write(
        *(volumes.add(name, seed=seed) for name, seed in (("a", 0), ("b", 1), ("c", 0), ("d", 2)))
    )
    for seed in range(6):
        parts = split_by_case(entries, {"training": 0.5, "validation": 0.5}, seed)
        check_splits(parts)
        cases = [{entry["case_id"] for entry in part} for part in parts.values()]
        assert {"a", "c"} in cases or {"a", "b", "c"} in cases or {"a", "c", "d"} in cases


def test_rounding_of_the_place_is_no_error(volumes: Volumes) -> None:
    near = np.diag([1.0, 1, 1, 1])
    near[:3, 3] = 1e-3
    assert volumes.write(volumes.add(label_affine=near))


def test_volumes_without_a_large_object_are_told(volumes: Volumes) -> None:
    assert volumes.write(volumes.add(), smallest=61) == []
    assert "1 volumes left out without an object of 61 pixels in any slice: a" in volumes.warnings


def test_a_volume_that_looks_like_ct_is_told(volumes: Volumes) -> None:
    volume = volumes.add(pixels=np.random.default_rng(0).integers(-1000, 900, SHAPE).astype(np.int16))
    volumes.write(volume, modality=None)
    assert any("1 volumes look like CT" in warning and "a.nii.gz" in warning for warning in volumes.warnings)
    volumes.write(volume, modality=None, window="percentiles")
    assert not any("look like CT" in warning for warning in volumes.warnings)


def test_equal_names_and_wrong_settings_are_refused(volumes: Volumes) -> None:
    volume = volumes.add()
    with pytest.raises(ValueError, match="case_id of its own for each volume, found 'a' twice"):
        volumes.write(volume, volume)
    for name in ("", "..", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="case ids that can name a folder"):
            volumes.write(LabelledVolume(volume.image, volume.label, name))
    with pytest.raises(ValueError, match="class_names: expected 2 to 256"):
        volumes.write(volume, names=["background"])
    for settings in (
        {"window": "ct_liver"},
        {"window": "40,0"},
        {"axis": 3},
        {"per_volume": 0},
        {"channel": -1},
    ):
        with pytest.raises(ValueError, match="expected"):
            SliceSettings(**settings)
