"""Read the images of datalists with questions about them, their answers and their masks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.data.combine import TASKS
from monai_lora_sam.data.datalist import read_datalist
from monai_lora_sam.data.dataset_errors import ErrorList
from monai_lora_sam.data.phrase_entries import phrase_entries

#: Stands for a mask in an answer.
MARK = "[SEG]"
#: Phrase of the pixels that count neither as found nor as missed.
IGNORED = "ignore"
#: Which questions are asked: the known ones, held-out wordings of known facts, or facts that training leaves out.
GROUPS = ("known", "templates", "facts")
#: Answer about objects that an image does not show.
ABSENT_ANSWER = "It is not in this picture."
#: Wordings of a question for an object by its name, and those that are held out.
NAME_TEMPLATES = (
    "Where is the {name}?",
    "Show the {name} in this picture.",
    "Please outline the {name}.",
    "Is there a {name} in this image, and where?",
)
HELD_OUT_NAME_TEMPLATES = (
    "Which pixels belong to the {name}?",
    "I am looking for the {name}. Mark it for me.",
)
_KEYS = {"fact", "questions", "held_out_questions", "answer", "absent", "masks", "held_out"}


def named_facts(phrases: Sequence[str]) -> list[dict[str, Any]]:
    """Return facts for objects that are asked for by their names, such as those of a plain semantic set.

    Example:
        >>> named_facts(["liver"])[0]["questions"][0]
        'Where is the liver?'
    """
    return [
        {
            "fact": f"name of {phrase}",
            "questions": [template.format(name=phrase) for template in NAME_TEMPLATES],
            "held_out_questions": [template.format(name=phrase) for template in HELD_OUT_NAME_TEMPLATES],
            "answer": f"The {phrase}: {MARK}.",
            "masks": [phrase],
        }
        for phrase in phrases
    ]


def question_entries(
    datalists: str | Path | Sequence[str | Path],
    split: str,
    task: str | None = None,
    group: str = "known",
) -> list[dict[str, Any]]:
    """Return the entries of a split with the questions that are asked of each image.

    Masks are those of phrases, see :func:`phrase_entries`. A fact joins a question, in several wordings, with its
    answer: ``{"fact": "supply of the front wall", "questions": [...], "held_out_questions": [...], "answer": "The left
    anterior descending artery: [SEG].", "masks": ["left anterior descending artery"], "held_out": false}``. The answer
    has a ``[SEG]`` for each phrase under ``masks``; without any it is a plain answer. Facts stand under ``facts`` of a
    datalist, for all of its images, and of an entry, for it alone. Where there are none, objects are asked for by their
    names. A fact whose phrases are all absent is answered by ``absent``, or "It is not in this picture."; one whose
    phrases are only partly known or present is not asked.

    Args:
        datalists, split, task: see :func:`phrase_entries`; a task's function may add ``facts``.
        group: ``known`` for wordings and facts that training uses, ``templates`` for held-out wordings of these facts,
            ``facts`` for held-out facts in all wordings.

    Returns:
        entries with `asked`, a list of `fact`, `questions`, `answer`, `masks`, phrases that the image shows, and
        `asks`, the number of masks that are asked for. Images without questions of the group are left out.

    Raises:
        DatasetError: all facts that are damaged, together.
        ValueError: an unknown group, or no question in it; see :func:`phrase_entries`.

    Warns:
        UserWarning: facts name phrases that no image has.

    Example:
        >>> question_entries("organs/datalist.json", "training")[0]["asked"][0]["answer"]  # doctest: +SKIP
        'The liver: [SEG].'
    """
    if group not in GROUPS:
        raise ValueError(f"group of questions: expected one of {GROUPS}, found {group!r}")
    paths = [datalists] if isinstance(datalists, str | Path) else list(datalists)
    contents = [read_datalist(path) if task is None else TASKS.load(task)(path, task) for path in paths]
    entries = phrase_entries(paths, split, task)
    errors = ErrorList()
    facts: dict[str, list[dict[str, Any]]] = {}
    for path, content in zip(paths, contents, strict=True):
        common = _checked(content.get("facts") or [], path, errors)
        own = {one["image"]: _checked(one.get("facts") or [], one["image"], errors) for one in content[split]}
        facts |= {image: [*common, *more] for image, more in own.items()}
    errors.raise_if_any()
    if not any(facts.values()):
        known = {phrase for entry in entries for phrase in (*entry["masks"], *entry["absent"])} - {IGNORED}
        facts = dict.fromkeys(facts, named_facts(sorted(known)))
    _warn_of_unknown_phrases(facts, entries, f"{', '.join(map(str, paths))}: {split}")
    found = []
    for entry in entries:
        asked = [one for fact in facts[entry["image"]] if (one := _asked(fact, entry, group)) is not None]
        if asked:
            found.append({**entry, "asked": asked})
    if not found:
        raise ValueError(
            f"{', '.join(map(str, paths))}: {split}: expected questions of the group {group!r}, found none"
        )
    return found


def _warn_of_unknown_phrases(
    facts: Mapping[str, Sequence[Mapping[str, Any]]], entries: Sequence[Mapping[str, Any]], where: str
) -> None:
    known = {phrase for entry in entries for phrase in (*entry["masks"], *entry["absent"])}
    named = {phrase for own in facts.values() for fact in own for phrase in fact.get("masks") or []}
    if unknown := sorted(named - known):
        warnings.warn(
            f"{where}: no image has the phrases {unknown[:5]}, so that their questions are not asked",
            stacklevel=3,
        )


def wordings(*splits: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Return all questions and all answers of entries, sorted.

    Example:
        >>> wordings([{"asked": [{"questions": ["Where?"], "answer": "Here."}]}])
        (['Where?'], ['Here.'])
    """
    asked = [one for split in splits for entry in split for one in entry["asked"]]
    questions = {question for one in asked for question in one["questions"]}
    return sorted(questions), sorted({one["answer"] for one in asked})


def most_masks(*splits: Sequence[Mapping[str, Any]]) -> int:
    """Return the largest number of masks that one question asks for, at least 1."""
    return max([1, *(one["asks"] for split in splits for entry in split for one in entry["asked"])])


def _asked(fact: Mapping[str, Any], entry: Mapping[str, Any], group: str) -> dict[str, Any] | None:
    """Return the question of a fact about an image; None where it is not asked."""
    held_out = fact.get("held_out", False)
    questions = (
        list(fact.get("held_out_questions") or []) if group == "templates" else list(fact["questions"])
    )
    if group == "facts":
        questions += fact.get("held_out_questions") or []
    if held_out != (group == "facts") or not questions:
        return None
    phrases = fact.get("masks") or []
    shown = [phrase in entry["masks"] for phrase in phrases]
    missing = [phrase in entry["absent"] for phrase in phrases]
    asked = {"fact": fact["fact"], "questions": questions, "asks": len(phrases)}
    if all(shown):
        return {**asked, "answer": fact["answer"], "masks": list(phrases)}
    if all(missing):
        return {**asked, "answer": fact.get("absent") or ABSENT_ANSWER, "masks": []}
    return None


def _checked(facts: Any, source: Any, errors: ErrorList) -> list[dict[str, Any]]:
    """Return facts that have their form; note the others."""
    if not isinstance(facts, list):
        errors.add(source, f"expected a list of facts, found {facts!r:.80}")
        return []
    good = []
    for number, fact in enumerate(facts, 1):
        problem = _problem(fact)
        if problem:
            errors.add(source, f"fact {number}: {problem}")
        else:
            good.append(fact)
    return good


def _problem(fact: Any) -> str | None:
    if not isinstance(fact, dict):
        return f"expected an object, found {fact!r:.80}"
    unknown = sorted(fact.keys() - _KEYS)
    if unknown:
        return f"expected the keys {sorted(_KEYS)}, found {unknown}"
    for key, least in (("questions", 1), ("held_out_questions", 0), ("masks", 0)):
        texts = fact.get(key) or []
        whole = isinstance(texts, list) and all(isinstance(text, str) and text.strip() for text in texts)
        if not whole or len(texts) < least:
            return f"{key}: expected texts, found {fact.get(key)!r:.80}"
    for key in ("fact", "answer"):
        if not isinstance(fact.get(key), str) or not fact[key].strip():
            return f"{key}: expected a text, found {fact.get(key)!r:.80}"
    marks, masks = fact["answer"].count(MARK), len(fact.get("masks") or [])
    if marks != masks:
        return f"expected an answer with {MARK} for each of its {masks} masks, found {marks} in {fact['answer']!r:.80}"
    if MARK in (fact.get("absent") or ""):
        return f"expected an answer about what is absent without {MARK}, found {fact['absent']!r:.80}"
    return None
