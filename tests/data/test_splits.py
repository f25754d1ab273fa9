from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import split_by_case, split_for_validation
from monai_lora_sam.data.splits import group_cases


def _entries(count, per_case=1, **extra):
    return [
        {"image": f"{i}.png", "case_id": f"case{i // per_case}", "pixel_hash": f"hash{i}", **extra}
        for i in range(count)
    ]


def _names(parts):
    return {part: {entry["image"] for entry in entries} for part, entries in parts.items()}


def test_cases_stay_whole_and_shares_are_met():
    entries = _entries(120, per_case=4)
    parts = split_by_case(entries, {"training": 0.7, "validation": 0.2, "test": 0.1}, seed=3)
    cases = {part: {entry["case_id"] for entry in part_entries} for part, part_entries in parts.items()}
    assert cases["training"] | cases["validation"] | cases["test"] == {e["case_id"] for e in entries}
    assert sum(map(len, cases.values())) == 30
    assert [len(parts[p]) for p in ("training", "validation", "test")] == [84, 24, 12]


def test_uneven_cases_come_close():
    sizes = [17, 9, 5, 5, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1]
    entries = [
        {"image": f"{case}-{i}", "case_id": case, "pixel_hash": f"{case}-{i}"}
        for case, size in enumerate(sizes)
        for i in range(size)
    ]
    parts = split_by_case(entries, {"training": 0.8, "validation": 0.2}, seed=0)
    assert len(parts["validation"]) == pytest.approx(0.2 * len(entries), abs=1)


def test_the_order_of_entries_does_not_matter_and_the_seed_does():
    entries, shares = _entries(60, per_case=2), {"training": 0.8, "validation": 0.2}
    first = _names(split_by_case(entries, shares, seed=1))
    for shuffle in range(5):
        shuffled = entries.copy()
        random.Random(shuffle).shuffle(shuffled)
        assert _names(split_by_case(shuffled, shares, seed=1)) == first
    assert _names(split_by_case(entries, shares, seed=2)) != first


def test_copies_join_cases():
    entries = _entries(6)
    entries[5]["pixel_hash"] = entries[0]["pixel_hash"]
    entries[4]["case_id"] = entries[5]["case_id"]
    assert group_cases(entries) == [[0, 4, 5], [1], [2], [3]]
    for seed in range(20):
        names = _names(split_by_case(entries, {"training": 0.5, "validation": 0.5}, seed=seed))
        assert any({"0.png", "4.png", "5.png"} <= part for part in names.values())


def test_pixels_are_compared_where_no_hash_is_given(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 9), dtype=np.uint8)
    for name, mode, index in (("a.png", "L", 0), ("b.png", "RGB", 0), ("c.png", "L", 1), ("d.tif", "L", 0)):
        Image.fromarray(pixels[index]).convert(mode).save(tmp_path / name)
    entries = [{"image": str(tmp_path / name)} for name in ("a.png", "b.png", "c.png", "d.tif")]
    assert group_cases(entries) == [[0, 1, 3], [2]]


def test_bad_shares_are_refused():
    with pytest.raises(ValueError, match=r"fractions: expected shares that sum to 1"):
        split_by_case(_entries(4), {"training": 0.8, "validation": 0.3})
    with pytest.raises(ValueError, match=r"fractions: expected shares"):
        split_by_case(_entries(4), {"training": 1.5, "validation": -0.5})
    with pytest.raises(ValueError, match=r"expected at least 2 cases for .*, found 1"):
        split_by_case(_entries(4, per_case=4), {"training": 0.5, "validation": 0.5})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cases", [2, 3, 4])
def test_no_part_with_a_share_stays_empty(cases, seed):
    parts = split_by_case(_entries(cases), {"training": 0.9, "validation": 0.1, "test": 0.0}, seed)
    assert [len(entries) for entries in parts.values()] == [cases - 1, 1, 0]


def test_a_fraction_of_0_or_1_leaves_one_part_empty():
    entries = _entries(6, per_case=2)
    assert _names(split_for_validation(entries, 0)) == _names({"training": entries, "validation": []})
    assert _names(split_for_validation(entries, 1)) == _names({"training": [], "validation": entries})
    assert _names(split_for_validation(entries, 0.3, 5)) == _names(
        split_by_case(entries, {"training": 0.7, "validation": 0.3}, 5)
    )
