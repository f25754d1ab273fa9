"""A picture as grey levels, from ordinary files and from DICOM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.images import read_image

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def test_a_png_over_255(tmp_path: Path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(found.pixels, GREY / 255.0, rtol=1e-6)
    assert (found.modality, found.path) == ("", tmp_path / "a.png")


def test_dicom_gives_its_modality_and_monochrome1_is_inverted(
    write_dicom: Callable[..., Path], tmp_path: Path
):
    plain = read_image(write_dicom(GREY, name="plain.dcm"))
    inverted = read_image(write_dicom(GREY, name="inverted.dcm", photometric="MONOCHROME1"))
    np.testing.assert_allclose(plain.pixels, GREY / 255.0, rtol=1e-6)
    np.testing.assert_allclose(inverted.pixels, 1 - GREY / 255.0, atol=1e-6)
    assert plain.modality == "XA"


def test_several_frames_are_refused(write_dicom: Callable[..., Path]):
    with pytest.raises(ValueError, match="expected a single frame, found 2"):
        read_image(write_dicom(np.stack([GREY, GREY])))
