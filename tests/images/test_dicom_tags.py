"""Optional elements with faulty values: unknown, with a warning, and never an exception."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from monai_lora_sam.images import OptionalTags


def _tags(keyword: str, representation: str, content: bytes) -> OptionalTags:
    """Return tags of a data set with one element as it stands in a file."""
    dataset = Dataset()
    dataset[keyword] = RawDataElement(Tag(keyword), representation, len(content), content, 0, False, True)
    return OptionalTags(dataset, [])


@pytest.mark.parametrize(
    ("content", "numbers"),
    [(b"40", [40.0]), (b" 4e1 ", [40.0]), (b"-30\\20", None), (b"", None), (b"  ", None)],
)
def test_sound_and_empty_values(content, numbers):
    tags = _tags("FrameTime", "DS", content)
    assert tags.numbers("FrameTime") == numbers
    assert bool(tags.warnings) == (b"\\" in content)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"66,7 ", "'66,7'"),
        (b"RAO 30", "words"),
        (b"Doe^Jane", "words"),
        (b"nan ", "'nan'"),
        (b"-inf", "'-inf'"),
        (b"1e999 ", "'1e999'"),
        (b"\xff\xfe\x00\x01", "words"),
        (b"1" * 60 + b",5", f"'{'1' * 40}…'"),
    ],
)
def test_a_value_that_is_no_number_is_unknown_and_words_are_not_repeated(content, found):
    tags = _tags("FrameTime", "DS", content)
    assert tags.number("FrameTime") is None and tags.number("FrameTime") is None
    assert tags.warnings == [
        f"DICOM FrameTime (0018,1063): expected numbers, found {found}; taken as unknown."
    ]


def test_counts_and_ranges():
    tags = _tags("ImagerPixelSpacing", "DS", b"0.4\\0.4\\0.4")
    assert tags.numbers("ImagerPixelSpacing", (1, 2)) is None
    assert tags.numbers("ImagerPixelSpacing", (3,), 0.5, 2, "mm") is None
    assert tags.numbers("ImagerPixelSpacing", (3,), 0.5) is None
    assert tags.numbers("ImagerPixelSpacing", (3,), 0, 1) == [0.4] * 3
    assert [warning.split("(0018,1164): ")[1] for warning in tags.warnings] == [
        "expected 1 or 2 values, found 3; taken as unknown.",
        "expected 0.5 to 2 mm, found 0.4; taken as unknown.",
        "expected at least 0.5, found 0.4; taken as unknown.",
    ]


def test_text_and_sequences():
    dataset = Dataset()
    dataset.SeriesNumber, dataset.Modality = 0, " XA"
    dataset.ReferencedImageSequence = [Dataset()]
    tags = OptionalTags(dataset, [])
    assert (tags.text("SeriesNumber"), tags.text("Modality"), tags.text("PatientSex")) == ("0", "XA", "")
    assert tags.item("ReferencedImageSequence") is not None
    assert tags.item("ReferencedImageSequence", 1) is tags.item("VOILUTSequence") is None
    assert not tags.warnings
    assert tags.item("Modality") is None and "expected a sequence of items" in tags.warnings[0]


@pytest.mark.parametrize("representation", ["DS", "IS", "US", "FD", "SQ", "UN", "OB", "PN"])
def test_any_bytes_in_any_representation_raise_nothing(representation):
    rng = np.random.default_rng(0)
    for length in (1, 2, 3, 4, 8, 11):
        tags = _tags("FrameTime", representation, rng.integers(0, 256, length, dtype=np.uint8).tobytes())
        tags.number("FrameTime"), tags.text("FrameTime"), tags.item("FrameTime")
        assert all("\n" not in warning for warning in tags.warnings)
    assert pydicom.datadict.keyword_for_tag(0x00181063) == "FrameTime"
