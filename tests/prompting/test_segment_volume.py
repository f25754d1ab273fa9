"""Objects of a volume, from one prompted slice each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from monai_lora_sam.images import is_volume, read_volume
from monai_lora_sam.networks import PromptedMasks
from monai_lora_sam.prompting import ObjectPrompt, SegmentedObject, segment_volume, write_volume_objects


def _bright_in_box(image: Tensor, boxes: Tensor, multimask: bool = False, **_: Any) -> PromptedMasks:
    """Answer each box with the bright pixels inside it."""
    height, width = image.shape[-2:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    logits = torch.full((1, boxes.shape[1], 1, height, width), -5.0)
    for index, (x0, y0, x1, y1) in enumerate(boxes[0].tolist()):
        inside = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1) & (image[0, 0] > 0.5)
        logits[0, index, 0][inside] = 5.0
    return PromptedMasks(logits, torch.ones(1, boxes.shape[1], 1))


@pytest.fixture
def bright(network: Any) -> Any:
    """Return the network with an answer that depends on the image."""

    class Bright(type(network)):  # type: ignore[misc]
        def forward(self, image: Tensor, **prompts: Any) -> PromptedMasks:
            return _bright_in_box(image, **prompts)

    made = Bright()
    made.stack.encoder.image_size = 48
    return made


@pytest.fixture
def pixels() -> np.ndarray:
    """Draw two blocks: one in slices 2 to 5, one in slices 1 to 6."""
    volume = np.zeros((40, 48, 8), np.float32)
    volume[5:15, 8:20, 2:6] = 1
    volume[22:36, 25:44, 1:7] = 0.9
    return volume


ONE = ObjectPrompt("first", (7, 4, 21, 16), (), 3)
TWO = ObjectPrompt("second", (24, 21, 45, 37), (), 5)


def test_each_object_is_followed_from_its_own_slice(bright: Any, pixels: np.ndarray) -> None:
    first, second = segment_volume(bright, pixels, [ONE, TWO])
    np.testing.assert_array_equal(first.mask, pixels == 1)
    np.testing.assert_array_equal(second.mask, pixels == np.float32(0.9))
    assert first.predicted_iou is None
    limited = segment_volume(bright, pixels, [ONE], slices=(3, 4))[0]
    np.testing.assert_array_equal(limited.mask.any((0, 1)).nonzero()[0], [3, 4])


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (ObjectPrompt("first", (7, 4, 21, 16)), "first: expected the slice that is prompted, found none"),
        (ObjectPrompt("first", (7, 4, 21, 16), (), 8), "first: slice_index: expected 0 to 7, found 8"),
        (ObjectPrompt("first", (7, 4, 21, 16), (), 0), "first: slice 0: expected a mask for every prompt"),
    ],
)
def test_prompts_that_do_not_fit(bright: Any, pixels: np.ndarray, prompt: ObjectPrompt, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segment_volume(bright, pixels, [prompt])


def test_files_of_a_volume(pixels: np.ndarray, tmp_path: Path) -> None:
    affine = np.diag([0.5, 0.7, 2.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(pixels.transpose(1, 0, 2), affine), tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    objects = [SegmentedObject(ONE, pixels == 1, None), SegmentedObject(TWO, pixels == np.float32(0.9), None)]
    files = write_volume_objects(tmp_path / "out", volume, pixels, objects, {"image": "a.nii.gz"})
    assert [file.name for file in files] == ["mask.nii.gz", "overlay.png", "segmentation.json"]
    written = nibabel.load(files[0])
    np.testing.assert_allclose(written.affine, affine)
    labels = np.asarray(written.dataobj).transpose(1, 0, 2)
    np.testing.assert_array_equal(labels, 1 * objects[0].mask + 2 * objects[1].mask)
    record = json.loads(files[2].read_text())
    assert record["size_px"] == [48, 40, 8]
    assert record["objects"][0] == {
        "name": "first",
        "label": 1,
        "box_xyxy": [7, 4, 21, 16],
        "slice": 3,
        "voxels": 480,
        "volume_ml": 0.336,  # 480 · 0.5 · 0.7 · 2 mm³
        "first_slice": 2,
        "last_slice": 5,
    }
    assert np.asarray(Image.open(files[1])).ndim == 3


def test_a_volume_is_told_from_a_picture(pixels: np.ndarray, tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4)), tmp_path / "volume.nii.gz")
    nibabel.save(nibabel.Nifti1Image(pixels[..., :1], np.eye(4)), tmp_path / "slice.nii.gz")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    assert is_volume(tmp_path / "volume.nii.gz") and is_volume(tmp_path)
    assert not is_volume(tmp_path / "slice.nii.gz") and not is_volume(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match="expected an image file, found nothing"):
        is_volume(tmp_path / "b.png")
    (tmp_path / "cut.nii").write_bytes((tmp_path / "volume.nii.gz").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"cut\.nii: "):
        is_volume(tmp_path / "cut.nii")
