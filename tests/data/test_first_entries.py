"""A part of the training images."""

from __future__ import annotations

import pytest

from monai_lora_sam.data import first_entries


def test_a_limit_takes_whole_cases_first():
    entries = [{"image": str(n), "case_id": str(n // 3)} for n in range(12)]
    assert first_entries(entries, None, 0) == entries
    chosen = first_entries(entries, 6, 0)
    assert len(chosen) == 6 and len({e["case_id"] for e in chosen}) == 2
    assert chosen == first_entries(entries, 6, 0) != first_entries(entries, 6, 1)
    with pytest.raises(ValueError, match=r"limit: expected at most 12.*found 13"):
        first_entries(entries, 13, 0)
