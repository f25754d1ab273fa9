"""Errors of a data set: gathered by file, raised together."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.data import DatasetError, ErrorList


def test_errors_are_raised_together_by_file():
    errors = ErrorList()
    errors.add("b.png", "b.png: expected a mask, found none")
    errors.add(Path("a.png"), "expected an image, found text")
    errors.add("b.png", "expected 8 rows, found 9")
    with pytest.raises(DatasetError) as caught:
        errors.raise_if_any()
    assert caught.value.errors == {
        "b.png": ["expected a mask, found none", "expected 8 rows, found 9"],
        "a.png": ["expected an image, found text"],
    }
    assert str(caught.value).splitlines() == [
        "3 problem(s) in 2 file(s):",
        "  a.png",
        "    - expected an image, found text",
        "  b.png",
        "    - expected a mask, found none",
        "    - expected 8 rows, found 9",
    ]
    assert isinstance(caught.value, ValueError)


def test_no_error_raises_nothing():
    ErrorList().raise_if_any()
