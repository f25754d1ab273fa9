"""Frames as grey levels against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from monai_lora_sam.images import Frames, read_dataset, read_frames

EIGHT_BIT = np.random.default_rng(0).integers(0, 256, (4, 5, 6), dtype=np.uint8)
DEEP = np.random.default_rng(1).integers(0, 4096, (4, 5, 6), dtype=np.uint16)


def test_frames_slices_and_arrays_agree():
    frames = Frames(EIGHT_BIT, eight_bit=True, inverted=False)
    assert len(frames) == 4 and frames.shape == (4, 5, 6)
    np.testing.assert_allclose(np.asarray(frames), EIGHT_BIT / 255, atol=1e-7)
    np.testing.assert_array_equal(frames[1:3], np.stack([frames[1], frames[2]]))
    np.testing.assert_array_equal(np.stack(list(frames)), frames[:])
    assert frames[4:].shape == (0, 5, 6)
    with pytest.raises(IndexError):
        frames[4]


def test_inverted_frames_are_the_complement():
    plain, inverted = (Frames(EIGHT_BIT, True, inverted)[:] for inverted in (False, True))
    np.testing.assert_allclose(inverted, 1 - plain)


def test_deep_frames_share_one_window():
    low, high = np.percentile(DEEP, (0.1, 99.9))
    expected = np.clip((DEEP - low) / (high - low), 0, 1)
    np.testing.assert_allclose(Frames(DEEP, False, False)[:], expected, atol=1e-6)


def _frames(path):
    return read_frames(read_dataset(path), path)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "padding", [{"PixelPaddingValue": 0}, {"PixelPaddingValue": 60, "PixelPaddingRangeLimit": 0}]
)
def test_padding_is_left_out_of_the_window_and_dark(xa_file, photometric, padding):
    inside = DEEP % 1000 + 2000
    rows, columns = np.mgrid[:5, :6]
    outside = np.broadcast_to((rows + columns) % 4 == 0, inside.shape)
    stored = np.where(outside, 0, inside).astype(np.uint16)
    elements = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": photometric}
    frames = _frames(xa_file(stored, **elements, **padding))[:]
    low, high = np.percentile(inside[~outside], (0.1, 99.9))
    expected = np.clip((inside - low) / (high - low), 0, 1)
    expected = 1 - expected if photometric == "MONOCHROME1" else expected
    np.testing.assert_allclose(frames, np.where(outside, 0, expected), atol=1e-6)


def test_padding_of_signed_pixels_of_all_pixels_and_of_none(xa_file):
    signed = DEEP.astype(np.int16) - 1000
    signed[:, 0] = -2000
    elements = {"BitsStored": 16, "PixelPaddingValue": -2000}
    frames = _frames(xa_file(signed, **elements))[:]
    low, high = np.percentile(signed[signed != -2000], (0.1, 99.9))
    assert frames[:, 0].max() == 0
    np.testing.assert_allclose(frames[:, 1:], np.clip((signed[:, 1:] - low) / (high - low), 0, 1), atol=1e-6)
    assert not _frames(xa_file(np.full_like(signed, -2000), **elements))[:].any()
    plain = _frames(xa_file(DEEP, PixelPaddingValue=5000))[:]
    np.testing.assert_array_equal(plain, _frames(xa_file(DEEP))[:])


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "contradiction"),
    [
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME2", "INVERSE", True, True),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME1", "IDENTITY", False, True),
        ("MONOCHROME1", "", True, False),
        ("MONOCHROME2", "LIN OD", False, False),
    ],
)
def test_the_presentation_shape_decides_on_inversion(xa_file, photometric, shape, inverted, contradiction):
    path = xa_file(EIGHT_BIT, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    frames, plain = _frames(path), EIGHT_BIT / 255
    np.testing.assert_allclose(frames[:], 1 - plain if inverted else plain, atol=1e-6)
    assert bool(frames.warnings) == contradiction


def _table(*entries: int) -> list[Dataset]:
    item = Dataset()
    item.LUTDescriptor = [len(entries), 0, 16]
    item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
    return [item]


@pytest.mark.parametrize(
    ("elements", "inverted", "warned"),
    [
        ({"RescaleSlope": "2", "RescaleIntercept": "-1000"}, False, False),
        ({"RescaleSlope": "-1", "RescaleIntercept": "255"}, True, True),
        ({"RescaleSlope": "-1", "PixelIntensityRelationship": "LOG"}, False, False),
        ({"RescaleSlope": "0"}, False, True),
        ({"ModalityLUTSequence": _table(0, 10, 30)}, False, False),
        ({"ModalityLUTSequence": _table(30, 10, 0)}, True, True),
        ({"VOILUTSequence": _table(30, 10, 0)}, True, True),
        ({"VOILUTSequence": _table(30, 10, 0), "WindowCenter": "100", "WindowWidth": "50"}, False, False),
        ({"VOILUTSequence": _table(30, 10, 0), "RescaleSlope": "-1"}, False, True),
        ({"VOILUTSequence": [Dataset()]}, False, True),
        (
            {"WindowCenter": ["100", "200"], "WindowWidth": ["50", "0"], "VOILUTFunction": "SIGMOID"},
            False,
            False,
        ),
    ],
)
def test_of_tables_and_rescaling_the_direction_counts(xa_file, elements, inverted, warned):
    frames, plain = _frames(xa_file(EIGHT_BIT, **elements)), EIGHT_BIT / 255
    np.testing.assert_allclose(frames[:], 1 - plain if inverted else plain, atol=1e-6)
    assert bool(frames.warnings) == warned


def test_a_round_field_with_padding_is_shown_as_without(shared_cases):
    folder = shared_cases / "f_grey"
    whole, padded = (
        _frames(folder / name)[0] for name in ("070_12bit.dcm", "071_12bit_round_field_padding_0.dcm")
    )
    inside = np.hypot(*(np.mgrid[:256, :256] - 127.5)) < 110
    assert np.corrcoef(whole[inside], padded[inside])[0, 1] > 0.999
    assert padded[inside].std() > whole[inside].std() and padded[0, 0] == 0
    (warning,) = _frames(folder / "077_monochrome2_presentation_inverse.dcm").warnings
    assert "the picture was inverted" in warning
