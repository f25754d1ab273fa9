"""A cine as a whole: scaling against NumPy, polarity, header, other modalities."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from monai_lora_sam.coronary.images import read_angiogram, read_cine

FRAMES = np.stack([np.add.outer(np.arange(30) * 5, np.arange(40)) + 7 * k for k in range(3)]).astype(np.uint8)


def test_frames_are_scaled_as_a_single_image_would_be(xa_file):
    path = xa_file(
        FRAMES, PositionerPrimaryAngle="30", PositionerSecondaryAngle="-20", PixelIntensityRelationship="LOG"
    )
    cine = read_cine(path)
    assert cine.frames.shape == FRAMES.shape and len(cine) == 3
    np.testing.assert_allclose(np.asarray(cine.frames), FRAMES / 255, atol=1e-7)
    np.testing.assert_array_equal(cine.frames[-1], cine.frames[2])
    np.testing.assert_array_equal(cine.frames[1:], np.asarray(cine.frames)[1:])
    assert cine.frames[5:].shape == (0, 30, 40)
    assert cine.frames[0].dtype == np.asarray(cine.frames).dtype == np.float32
    assert cine.views == ((30.0, -20.0),) * 3
    assert cine.frame_times_ms == (0, 40, 80) and cine.frames_per_second == 25
    assert (cine.modality, cine.bits_stored, cine.pixel_intensity_relationship) == ("XA", 8, "LOG")
    assert cine.sop_class == "X-Ray Angiographic Image Storage"


def test_deep_frames_share_one_window(xa_file):
    deep = (FRAMES.astype(np.uint16) * 16) + np.array([0, 300, 600], np.uint16)[:, None, None]
    frames = np.asarray(read_cine(xa_file(deep, BitsStored=12, HighBit=11)).frames)
    low, high = np.percentile(deep, (0.1, 99.9))
    np.testing.assert_allclose(frames, np.clip((deep - low) / (high - low), 0, 1), atol=1e-6)
    assert frames[0].mean() < frames[1].mean() < frames[2].mean()
    signed = deep.astype(np.int16) - 3000
    np.testing.assert_allclose(np.asarray(read_cine(xa_file(signed)).frames), frames, atol=1e-6)


def test_monochrome1_is_inverted(xa_file):
    frames = np.asarray(read_cine(xa_file(FRAMES, PhotometricInterpretation="MONOCHROME1")).frames)
    np.testing.assert_allclose(frames, 1 - FRAMES / 255, atol=1e-6)


def test_almost_nothing_in_the_header_is_enough(xa_file):
    path = xa_file(
        FRAMES[:1], NumberOfFrames=None, FrameTime=None, Modality=None, BitsStored=None, HighBit=None
    )
    cine = read_cine(path)
    assert cine.views == cine.spacings == (None,)
    assert cine.frame_times_ms is None and cine.frames_per_second is None
    assert cine.modality == cine.pixel_intensity_relationship == ""


def test_private_tags_are_left_alone_and_the_header_holds_no_pixels(xa_file):
    path = xa_file(FRAMES)
    dataset = pydicom.dcmread(path)
    block = dataset.private_block(0x0019, "SOME VENDOR", create=True)
    block.add_new(0x01, "UN", b"\x00\x01\xff")
    dataset.PatientName = "Synthetic^Phantom"
    dataset.save_as(path)
    cine = read_cine(path)
    assert cine.header.private_block(0x0019, "SOME VENDOR")[0x01].value == b"\x00\x01\xff"
    assert "PixelData" not in cine.header
    assert cine.header.PatientName == "Synthetic^Phantom"
    assert "Synthetic^Phantom" not in repr(cine)


def test_one_frame_is_what_read_angiogram_gives(xa_file):
    elements = {
        "PositionerPrimaryAngle": "-30",
        "PositionerSecondaryAngle": "20",
        "ImagerPixelSpacing": ["0.2", "0.2"],
        "DistanceSourceToDetector": "1000",
        "DistanceSourceToPatient": "750",
    }
    path = xa_file(FRAMES[:1], **elements)
    single, frame = read_angiogram(path), read_cine(path).angiogram(0)
    np.testing.assert_array_equal(single.pixels, frame.pixels)
    assert single.view == frame.view == (-30.0, 20.0)
    assert single.pixel_spacing_mm == frame.pixel_spacing_mm == pytest.approx(0.15)
    assert single.pixel_spacing_source.startswith("imager pixel spacing")
    with pytest.raises(ValueError, match=r"cine\.dcm: expected a single frame, found 3 frames .* read_cine"):
        read_angiogram(xa_file(FRAMES, **elements))


def test_other_modalities_are_refused(xa_file):
    path = xa_file(FRAMES, Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    with pytest.raises(
        ValueError, match=r"cine\.dcm: expected an X-ray .* found CT Image Storage \(modality CT\)"
    ):
        read_cine(path)
    assert len(read_cine(path, modalities=None)) == 3
    with pytest.raises(ValueError, match="modality SEG"):
        read_cine(xa_file(FRAMES, Modality="SEG"), modalities=None)


def test_a_side_tag_with_a_fault_is_unknown_and_the_rest_is_read(xa_file):
    cine = read_cine(xa_file(FRAMES, PixelSpacing=["0.2", "0.4"], PositionerPrimaryAngle="-30"))
    assert cine.spacings == (None,) * 3 and len(cine) == 3
    (warning,) = cine.warnings
    assert warning.startswith("DICOM PixelSpacing (0028,0030): expected square pixels")
    assert cine.angiogram(1).warnings == cine.warnings


@pytest.mark.parametrize(("part", "warned"), [("SHOULDER", True), ("HEART", False), ("", False)])
def test_another_part_of_the_body_is_a_warning(xa_file, part: str, warned: bool) -> None:
    warnings = read_cine(xa_file(FRAMES, BodyPartExamined=part)).warnings
    found = [text for text in warnings if "BodyPartExamined" in text]
    assert bool(found) is warned and (not found or "found 'SHOULDER'" in found[0])
