"""Questions of datalists: groups, what is absent, objects by name, and facts that are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.data import question_entries, wordings
from monai_lora_sam.data.question_entries import most_masks

FACTS: list[dict[str, Any]] = [
    {
        "fact": "filter",
        "questions": ["What cleans the blood?"],
        "held_out_questions": ["Which organ makes urine?"],
        "answer": "The kidney: [SEG].",
        "masks": ["kidney"],
    },
    {
        "fact": "both",
        "questions": ["Show kidney and liver."],
        "answer": "The kidney: [SEG], the liver: [SEG].",
        "masks": ["kidney", "liver"],
    },
    {
        "fact": "bile",
        "questions": ["What makes bile?"],
        "answer": "The liver: [SEG].",
        "masks": ["liver"],
        "absent": "No liver is shown.",
        "held_out": True,
    },
    {"fact": "kind", "questions": ["What is this?"], "answer": "A picture."},
]


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    """Write an image with a kidney and one with both organs."""
    entries = []
    for name, values in (("a", [1]), ("b", [1, 2])):
        pixels = np.zeros((8, 8), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        for row, value in enumerate(values):
            pixels[row] = value
        Image.fromarray(pixels).save(tmp_path / f"{name}_label.png")
        entries.append({"image": f"{name}.png", "label": f"{name}_label.png", "case_id": name})
    entries[1]["facts"] = [{"fact": "own", "questions": ["And here?"], "answer": "Yes."}]
    return write(tmp_path, FACTS, entries)


def write(folder: Path, facts: Any, entries: list) -> Path:
    content = {"class_names": ["background", "kidney", "liver"], "facts": facts, "training": entries}
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder / "datalist.json"


def asked(entries: list) -> list[list[tuple]]:
    return [[(one["fact"], one["answer"], one["asks"]) for one in entry["asked"]] for entry in entries]


def test_each_group_has_its_questions(datalist: Path):
    kidney, both = ("filter", "The kidney: [SEG].", 1), ("both", FACTS[1]["answer"], 2)
    plain = ("kind", "A picture.", 0)
    known = question_entries(datalist, "training")
    assert asked(known) == [
        [kidney, plain],
        [kidney, both, plain, ("own", "Yes.", 0)],
    ]  # one of two is not asked
    templates = question_entries(datalist, "training", group="templates")
    assert asked(templates) == [[kidney], [kidney]]
    assert templates[0]["asked"][0]["questions"] == ["Which organ makes urine?"]
    facts = question_entries(datalist, "training", group="facts")
    assert asked(facts) == [[("bile", "No liver is shown.", 1)], [("bile", "The liver: [SEG].", 1)]]
    assert most_masks(known) == 2 and most_masks(facts) == 1


def test_objects_are_asked_for_by_name_where_there_are_no_facts(datalist: Path):
    content = json.loads(datalist.read_text())
    del content["facts"], content["training"][1]["facts"]
    datalist.write_text(json.dumps(content))
    entries = question_entries(datalist, "training")
    answers = [[one["answer"] for one in entry["asked"]] for entry in entries]
    assert answers == [
        ["The kidney: [SEG].", "It is not in this picture."],
        ["The kidney: [SEG].", "The liver: [SEG]."],
    ]
    questions, texts = wordings(entries)
    assert "Where is the kidney?" in questions and len(texts) == 3 and questions == sorted(questions)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ("filter", "expected an object"),
        ({**FACTS[0], "question": "?"}, r"found \['question'\]"),
        ({**FACTS[0], "questions": []}, "questions: expected texts"),
        ({**FACTS[0], "answer": ""}, "answer: expected a text"),
        ({**FACTS[0], "answer": "The kidney."}, r"with \[SEG\] for each of its 1 masks, found 0"),
        ({**FACTS[0], "absent": "None: [SEG]"}, r"about what is absent without \[SEG\]"),
    ],
)
def test_damaged_facts_are_named(datalist: Path, fact: Any, message: str):
    entries = json.loads(datalist.read_text())["training"]
    write(datalist.parent, [fact], entries)
    with pytest.raises(ValueError, match=message) as caught:
        question_entries(datalist, "training")
    assert "fact 1" in str(caught.value)


def test_groups_that_are_none_or_empty(datalist: Path):
    with pytest.raises(ValueError, match="group of questions: expected one of"):
        question_entries(datalist, "training", group="new")
    write(datalist.parent, [FACTS[3]], json.loads(datalist.read_text())["training"][:1])
    with pytest.raises(ValueError, match="training: expected questions of the group 'facts', found none"):
        question_entries(datalist, "training", group="facts")


def test_phrases_that_no_image_has_are_named(datalist: Path):
    entries = json.loads(datalist.read_text())["training"]
    write(datalist.parent, [*FACTS, {**FACTS[0], "masks": ["kidny"]}], entries)
    with pytest.warns(UserWarning, match=r"no image has the phrases \['kidny'\]"):
        question_entries(datalist, "training")
