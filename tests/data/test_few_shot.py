"""A few cases and folds of cases, with copies together; scikit-learn's checks of folds."""

from __future__ import annotations

import itertools
import random

import pytest
from sklearn.model_selection import GroupKFold

from monai_lora_sam.data import few_shot, folds

#: 12 cases of 1 to 3 slices; cases 0 and 1 share a picture.
ENTRIES = [
    {"image": f"{case}_{piece}.png", "case_id": f"case{case}", "pixel_hash": f"{max(case, 1)}-{piece}"}
    for case in range(12)
    for piece in range(1 + case % 3)
]


def cases(entries: list[dict]) -> set[str]:
    return {entry["case_id"] for entry in entries}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_draws_are_nested_whole_and_independent_of_the_order(seed: int) -> None:
    drawn = [few_shot(ENTRIES, n, seed) for n in range(1, 12)]
    for fewer, more in itertools.pairwise(drawn):
        assert cases(fewer) < cases(more)
    for chosen in drawn:
        assert chosen == [entry for entry in ENTRIES if entry["case_id"] in cases(chosen)]
        assert ("case0" in cases(chosen)) == ("case1" in cases(chosen))
    mixed = random.Random(0).sample(ENTRIES, len(ENTRIES))
    assert cases(few_shot(mixed, 4, seed)) == cases(drawn[3])
    assert drawn[-1] == ENTRIES


def test_another_seed_draws_other_cases() -> None:
    assert len({frozenset(cases(few_shot(ENTRIES, 3, seed))) for seed in range(5)}) > 1


@pytest.mark.parametrize("k", [2, 3, 5, 11])
def test_folds_cover_every_entry_once(k: int) -> None:
    splits = folds(ENTRIES, k, seed=1)
    assert len(splits) == k
    tested = [entry["image"] for split in splits for entry in split["validation"]]
    assert sorted(tested) == sorted(entry["image"] for entry in ENTRIES)
    groups = ["case1" if entry["case_id"] == "case0" else entry["case_id"] for entry in ENTRIES]
    theirs = list(GroupKFold(k).split(ENTRIES, groups=groups))  # the same properties as scikit-learn's
    assert len(theirs) == k
    for split in splits:
        assert not cases(split["training"]) & cases(split["validation"])
        assert len(split["training"]) + len(split["validation"]) == len(ENTRIES)
        assert ("case0" in cases(split["validation"])) == ("case1" in cases(split["validation"]))
    sizes = [len(cases(split["validation"]) - {"case0"}) for split in splits]
    assert max(sizes) - min(sizes) <= 1


def test_folds_depend_on_the_seed_alone() -> None:
    mixed = random.Random(0).sample(ENTRIES, len(ENTRIES))
    first, second, other = folds(ENTRIES, 3, 0), folds(mixed, 3, 0), folds(ENTRIES, 3, 1)
    assert [cases(split["validation"]) for split in first] == [cases(split["validation"]) for split in second]
    assert [cases(split["validation"]) for split in first] != [cases(split["validation"]) for split in other]


def test_too_many_or_too_few_are_refused() -> None:
    for n in (0, 12, -1):
        with pytest.raises(
            ValueError, match=f"few-shot: expected 1 to 11 cases, the number of all, found {n}"
        ):
            few_shot(ENTRIES, n)
    for k in (1, 12):
        with pytest.raises(ValueError, match=f"folds: expected 2 to 11, the number of cases, found {k}"):
            folds(ENTRIES, k)
