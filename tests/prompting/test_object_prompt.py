"""Prompts of objects and their JSON file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from monai_lora_sam.prompting import ObjectPrompt, read_prompts


def test_tensors_are_a_networks_arguments() -> None:
    prompt = ObjectPrompt("kidney", (1, 2, 3, 4), ((5, 6), (7, 8, 0)))
    tensors = prompt.tensors()
    assert torch.equal(tensors["boxes"], torch.tensor([[[1.0, 2, 3, 4]]]))
    assert torch.equal(tensors["points"], torch.tensor([[[[5.0, 6], [7, 8]]]]))
    assert torch.equal(tensors["point_labels"], torch.tensor([[[1, 0]]]))
    assert set(ObjectPrompt("a", points=((1, 2),)).tensors()) == {"points", "point_labels"}


def test_a_file_holds_many_objects(tmp_path: Path) -> None:
    objects = [{"name": "liver", "box": [1, 2, 30, 40], "slice": 3}, {"points": [[5, 6, 1], [7.5, 8, 0]]}]
    (tmp_path / "p.json").write_text(json.dumps({"objects": objects}))
    first, second = read_prompts(tmp_path / "p.json")
    assert first == ObjectPrompt("liver", (1.0, 2.0, 30.0, 40.0), (), 3)
    assert second == ObjectPrompt("object 2", None, ((5.0, 6.0, 1), (7.5, 8.0, 0)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "expected a list of objects under 'objects', found None"),
        ({"objects": []}, "expected a list of objects"),
        ({"objects": [5]}, "expected a list of objects"),
        ({"objects": [{"boxes": [1, 2, 3, 4]}]}, r"object 1: .*found 'boxes' \(nearest: 'box'\)"),
        ({"objects": [{"name": "a"}]}, "a: expected a box, points or text, found none of them"),
        (
            {"objects": [{"name": "a", "box": [1, 2, 3]}]},
            r"a: expected a box as x0, y0, x1, y1, found \[1, 2, 3\]",
        ),
        ({"objects": [{"name": "a", "box": [1, 2, 3, "4"]}]}, "a: expected a box as"),
        ({"objects": [{"name": "a", "box": [1, 2, 3, True]}]}, "a: expected a box as"),
        (
            {"objects": [{"name": "a", "points": [1, 2]}]},
            "a: expected a point as x, y or x, y, label, found 1",
        ),
        ({"objects": [{"name": "a", "points": 7}]}, "a: expected a list of points, found 7"),
        ({"objects": [{"name": "a", "points": [[1, 2, 3]]}]}, "label to be 1 or 0, found 3"),
        ({"objects": [{"name": " ", "points": [[1, 2]]}]}, "object 1: expected a name"),
        ({"objects": [{"name": "a", "points": [[1, 2]]}] * 2}, "a name of its own, found 'a' again"),
        ({"objects": [{"name": "a", "points": [[1, 2]], "slice": -1}]}, "the index of a slice, found -1"),
        ({"objects": [{"name": "a", "points": [[1, 2]], "slice": 1.5}]}, "the index of a slice, found 1.5"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: dict, message: str) -> None:
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"p.json: .*{message}"):
        read_prompts(tmp_path / "p.json")
