"""Questions about angiograms: anatomy against the tables of segments, held-out facts, a phantom's own facts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_lora_sam.coronary.anatomy import artery_phrases, segment_phrases
from monai_lora_sam.coronary.data import coronary_facts, read_questions
from monai_lora_sam.coronary.data.questions import phantom_facts
from monai_lora_sam.coronary.phantom import prepare_phantoms
from monai_lora_sam.data import question_entries


def line(segment: str, diameter: float) -> dict:
    return {"segment": segment, "reference_diameter_mm": [diameter, diameter]}


def test_facts_name_phrases_that_exist_and_no_question_has_two_answers():
    facts = coronary_facts()
    phrases = {*artery_phrases(), *segment_phrases()}
    assert all(set(fact.get("masks", [])) <= phrases for fact in facts)
    answers: dict[str, set[str]] = {}
    for fact in facts:
        for question in (*fact["questions"], *fact.get("held_out_questions", [])):
            answers.setdefault(question, set()).add(fact["answer"])
    assert all(len(found) == 1 for found in answers.values())
    known = {text for fact in facts for text in fact["questions"]}
    held_out = {text for fact in facts for text in fact.get("held_out_questions", [])}
    assert held_out and not known & held_out
    assert sum(fact.get("held_out", False) for fact in facts) >= 3


def test_a_phantoms_facts_are_its_truth():
    truth = {
        "side": "left",
        "dominance": "right",
        "centrelines": [line("6", 3.0), line("5", 4.5), line("11", 2.9)],
        "lesions": [
            {"segment": "6", "percent_diameter_stenosis": 40.0},
            {"segment": "11", "percent_diameter_stenosis": 72.0},
        ],
    }
    facts = {fact["fact"]: fact for fact in phantom_facts(truth)}
    assert facts["side"]["answer"] == "It is the left coronary artery."
    assert facts["largest vessel"]["masks"] == ["left main artery"]
    assert facts["tightest narrowing"]["masks"] == ["proximal left circumflex artery"]
    assert "dominance" not in facts  # a left injection without a posterior descending artery does not show it
    healthy = {fact["fact"]: fact for fact in phantom_facts({**truth, "lesions": []})}
    assert healthy["tightest narrowing"]["answer"] == "No vessel is narrowed here."


def test_phantoms_are_asked_about(tmp_path: Path):
    datalist = prepare_phantoms(tmp_path, 2, seed=3)
    entries = question_entries(datalist, "training", "coronary_questions")
    for entry in entries:
        truth = json.loads((tmp_path / "truth" / f"{entry['case_id']}.json").read_text())
        answers = {one["fact"]: one["answer"] for one in entry["asked"]}
        assert answers["side"] == f"It is the {truth['side']} coronary artery."
        shown = answers["supply of the front wall of the heart"]
        assert ("[SEG]" in shown) == ("left anterior descending artery" in entry["masks"])
    with pytest.raises(ValueError, match="task: expected 'coronary_questions'"):
        read_questions(datalist, "questions")
