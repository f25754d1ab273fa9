"""The comparison's own parts: questions as phrases of the baseline, and scores of rules that need no training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from monai_lora_sam.coronary.phantom import prepare_phantoms
from monai_lora_sam.data import phrase_entries, question_entries
from monai_lora_sam.images import read_label

TASK = "coronary_questions"


@pytest.fixture
def bench(script: Callable[[str], ModuleType]) -> Any:
    return script("bench_reasoning")


@pytest.fixture(scope="module")
def datalist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_phantoms(tmp_path_factory.mktemp("phantoms"), 2, seed=3, validation_fraction=0.5)


def test_the_baseline_gets_the_same_questions_and_masks(bench: Any, datalist: Path, tmp_path: Path):
    written = bench.write_phrases(datalist, TASK, tmp_path, seed=0)
    (entry,), (source,) = phrase_entries(written, "training"), question_entries(datalist, "training", TASK)
    asked = dict(bench.drawn(source, 0))
    assert {*entry["masks"], *entry["absent"]} == set(asked) and len(asked) == bench.MOST_QUESTIONS
    for question, file in entry["masks"].items():
        assert np.array_equal(read_label(file, 2) > 0, bench.mask_of(source, asked[question]))
    assert all(not bench.mask_of(source, asked[question]).any() for question in entry["absent"])


def test_the_truth_scores_one_and_the_largest_vessel_less(bench: Any, datalist: Path):
    entries = question_entries(datalist, "validation", TASK)
    truth = {question: asked for question, asked in bench.drawn(entries[0], 0)}

    def perfect(entry, pixels, question):
        return bench.mask_of(entry, truth[question]), truth[question]["answer"]

    assert set(bench.score(perfect, entries, 0).values()) == {1.0}
    rule = bench.score(bench.largest_segment, entries, 0)
    assert rule["giou"] < 1 and rule["mark_accuracy"] < 1 and rule["exact_match"] is None
    bench.show([{"seed": 0, "asked": "known", "method": "largest", **json.loads(json.dumps(rule))}])
