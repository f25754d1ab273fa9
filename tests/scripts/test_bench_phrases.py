"""Seconds, memory and false alarms of networks that take words: which phrases are counted, before and after."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    Image.fromarray(np.full((40, 50), 90, np.uint8)).save(tmp_path / "1.png")
    mask = np.zeros((40, 50), np.uint8)
    mask[5:20, 5:20] = 255
    Image.fromarray(mask).save(tmp_path / "1_kidney.png")
    phrases = {"left kidney": "1_kidney.png", "spleen": None, "liver": None}
    entries = [{"image": "1.png", "phrases": phrases}]
    content = {"name": "words", "task": "phrases", "training": [], "validation": entries}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    return tmp_path / "datalist.json"


def test_an_adapter_and_sam3_are_measured(
    script: Callable, text_stage: Path, promptable: Path, text_sam3: Path, datalist: Path, tmp_path: Path
):
    main, file = script("bench_phrases").main, tmp_path / "found.json"
    common: dict[str, Any] = {"count": [3, 1], "repeats": 1, "device": "cpu", "json_file": file}
    main(str(text_stage), weights=str(promptable), datalist=datalist, **common)
    found = json.loads(file.read_text())
    assert [row["phrases"] for row in found["phrases"]] == [1, 3]
    assert all(row["phrase_seconds"] > 0 and row["peak_mb"] > 50 for row in found["phrases"])
    assert found["false_alarms"]["after"]["false_alarms"] == 1.0  # this stage takes all for present
    for row in found["false_alarms"].values():
        assert (row["absent_phrases"], row["present_phrases"]) == (2, 1)
    main(None, weights=str(text_sam3), datalist=datalist, **common)
    found = json.loads(file.read_text())
    assert list(found["false_alarms"]) == ["as it is"] and len(found["phrases"]) == 2


def test_false_alarms_are_those_by_hand(script: Callable, datalist: Path, monkeypatch: pytest.MonkeyPatch):
    bench = script("bench_phrases")
    presence = {"left kidney": 0.5, "spleen": 0.9, "liver": 0.1, "aorta": 0.2}
    monkeypatch.setattr(
        bench,
        "segment_image",
        lambda network, pixels, prompts: [
            SimpleNamespace(prompt=one, presence=presence[one.name]) for one in prompts
        ],
    )
    image = str(datalist.with_name("1.png"))
    entry = {"image": image, "masks": {"left kidney": [1], "aorta": [2]}, "absent": ["spleen", "liver"]}
    expected = {"false_alarms": 0.5, "present_found": 0.5, "absent_phrases": 2, "present_phrases": 2}
    assert bench.score(None, [entry]) == expected
    assert bench.score(None, [{**entry, "absent": []}])["false_alarms"] is None
    assert len(set(bench.WORDS)) == 50
