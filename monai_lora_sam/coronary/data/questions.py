"""Questions about coronary angiograms, from ARCADE's segments and from phantoms with exact truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.coronary.anatomy import SyntaxSegment, arcade_id, artery_phrases, segment_phrases
from monai_lora_sam.coronary.data.tasks import read_task
from monai_lora_sam.data import MARK, SPLITS, named_facts
from monai_lora_sam.files import read_json

_LAD, _LCX = "left anterior descending artery", "left circumflex artery"
_RCA, _MAIN = "right coronary artery", "left main coronary artery"
#: Artery → the parts of the heart that it supplies; those at the end are held out as facts.
_TERRITORIES: Mapping[str, tuple[str, ...]] = {
    _LAD: ("the front wall of the heart", "the anterior wall of the left ventricle", "the apex of the heart"),
    _LCX: ("the lateral wall of the left ventricle", "the side of the left ventricle"),
    _RCA: ("the right ventricle", "the right atrium", "the sinus node in most people"),
    "posterior descending artery": (
        "the lower part of the septum",
        "the inferior wall between the ventricles",
    ),
    "posterolateral branch": ("the back wall of the left ventricle",),
}
#: Territories of which training never speaks.
HELD_OUT_TERRITORIES = ("the apex of the heart", "the sinus node in most people")
_TERRITORY = (
    "Which artery supplies {territory}, and where is it here?",
    "Show the vessel that brings blood to {territory}.",
)
_HELD_OUT_TERRITORY = ("If {territory} lacks blood, which artery should I look at? Mark it.",)
#: Segment → how its neighbours tell where it is.
_NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    "proximal left anterior descending artery": ("the vessel before the first diagonal branch",),
    "mid left anterior descending artery": ("the segment that follows the proximal LAD",),
    "distal left circumflex artery": ("the part of the circumflex after its obtuse marginal branches",),
    _MAIN: ("the trunk that divides into LAD and circumflex",),
    "mid right coronary artery": ("the segment between the proximal and the distal right coronary artery",),
}
HELD_OUT_NEIGHBOURS = ("the segment that follows the proximal LAD",)
_NEIGHBOUR = ("Where is {place}?", "Outline {place}.")
_HELD_OUT_NEIGHBOUR = ("Which pixels show {place}?",)
#: Answers without a mask, so that the mark is neither lost nor said always.
_PLAIN = {
    "what is an angiogram": (
        "What kind of picture is this?",
        "It is an X-ray angiogram of coronary arteries.",
    ),
    "what is a stenosis": ("What is a stenosis?", "A stenosis is a narrowing of a vessel."),
    "what is the LAD": ("What does LAD stand for?", "LAD stands for left anterior descending artery."),
}


def coronary_facts() -> list[dict[str, Any]]:
    """Return the facts that hold for every angiogram, in the form of :func:`monai_lora_sam.data.question_entries`.

    Arteries are asked for by name, by the part of the heart that they supply and by their neighbours; some questions
    have plain answers. Facts of :data:`HELD_OUT_TERRITORIES` and :data:`HELD_OUT_NEIGHBOURS` are held out.

    Example:
        >>> [fact["answer"] for fact in coronary_facts() if fact["fact"] == "supply of the front wall of the heart"]
        ['The left anterior descending artery: [SEG].']
    """
    facts = named_facts(list(artery_phrases()))
    for artery, territories in _TERRITORIES.items():
        for territory in territories:
            facts.append(
                _fact(
                    f"supply of {territory}",
                    [text.format(territory=territory) for text in _TERRITORY],
                    [text.format(territory=territory) for text in _HELD_OUT_TERRITORY],
                    artery,
                    territory in HELD_OUT_TERRITORIES,
                )
            )
    for segment, places in _NEIGHBOURS.items():
        for place in places:
            facts.append(
                _fact(
                    f"place of {place}",
                    [text.format(place=place) for text in _NEIGHBOUR],
                    [text.format(place=place) for text in _HELD_OUT_NEIGHBOUR],
                    segment,
                    place in HELD_OUT_NEIGHBOURS,
                )
            )
    facts += [
        {"fact": fact, "questions": [question], "answer": answer}
        for fact, (question, answer) in _PLAIN.items()
    ]
    return facts


def read_questions(path: str | Path, task: str) -> dict[str, Any]:
    """Read a datalist of named segments with `phrases` and `facts`.

    Phantoms have facts of their own from their truth: side, dominance, largest vessel, tightest narrowing.

    Args:
        path: of the datalist, or of the folder that holds ``datalist.json``.
        task: ``coronary_questions``.

    Raises:
        ValueError: an unknown task, or a data set without named segments.

    Example:
        >>> len(read_questions("data/arcade_segments", "coronary_questions")["facts"]) > 20  # doctest: +SKIP
        True
    """
    if task != "coronary_questions":
        raise ValueError(f"task: expected 'coronary_questions', found {task!r}")
    content = read_task(path, "segments")
    phrases = {**segment_phrases(), **artery_phrases()}
    for entry in (entry for split in SPLITS for entry in content[split] or []):
        if entry.get("truth"):
            entry["facts"] = phantom_facts(read_json(entry["truth"]))
    return {**content, "task": task, "phrases": phrases, "facts": coronary_facts()}


def phantom_facts(truth: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the facts of one phantom, from its truth.

    The largest vessel is the segment with the largest mean reference diameter, the tightest narrowing the lesion with
    the highest percent diameter stenosis; the answer's mask is the whole segment.

    Example:
        >>> [fact["fact"] for fact in phantom_facts(truth)]  # doctest: +SKIP
        ['side', 'dominance', 'largest vessel', 'tightest narrowing']
    """
    names = {value[0]: name for name, value in segment_phrases().items()}
    side, dominance = str(truth["side"]).lower(), str(truth["dominance"]).lower()
    facts: list[dict[str, Any]] = [
        {
            "fact": "side",
            "questions": [
                "Is this the left or the right coronary artery?",
                "Which coronary artery was filled?",
            ],
            "held_out_questions": ["Was the contrast given into the left or into the right artery?"],
            "answer": f"It is the {side} coronary artery.",
        }
    ]
    if any(line["segment"] in ("4", "15") for line in truth["centrelines"]) or side == "right":
        facts.append(
            {
                "fact": "dominance",
                "questions": ["Which side is dominant?", "Is this heart left or right dominant?"],
                "held_out_questions": ["From which side does the posterior descending artery come?"],
                "answer": f"This heart is {dominance}-dominant.",
            }
        )
    largest = max(truth["centrelines"], key=lambda line: _mean(line["reference_diameter_mm"]))
    facts.append(
        _fact(
            "largest vessel",
            ["Which is the largest vessel here?", "Show the widest segment."],
            ["Where is the vessel of the greatest calibre?"],
            names[_arcade(largest["segment"])],
        )
    )
    if truth["lesions"]:
        tightest = max(truth["lesions"], key=lambda lesion: lesion["percent_diameter_stenosis"])
        facts.append(
            _fact(
                "tightest narrowing",
                ["Show the narrowed segment.", "Which segment has the tightest narrowing?"],
                ["Where is the worst stenosis?"],
                names[_arcade(tightest["segment"])],
            )
        )
    else:
        facts.append(
            {
                "fact": "tightest narrowing",
                "questions": ["Show the narrowed segment.", "Which segment has the tightest narrowing?"],
                "held_out_questions": ["Where is the worst stenosis?"],
                "answer": "No vessel is narrowed here.",
            }
        )
    return facts


def _fact(
    name: str, questions: Sequence[str], held_out: Sequence[str], phrase: str, left_out: bool = False
) -> dict[str, Any]:
    return {
        "fact": name,
        "questions": list(questions),
        "held_out_questions": list(held_out),
        "answer": f"The {phrase}: {MARK}.",
        "masks": [phrase],
        "held_out": left_out,
    }


def _arcade(segment: str) -> int:
    return arcade_id(SyntaxSegment(segment))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
