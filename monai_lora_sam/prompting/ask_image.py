"""Ask questions about images: answers in words and masks, a picture of them and a record."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_lora_sam.adapters import open_adapter
from monai_lora_sam.files import printable
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.networks import (
    SEG,
    ImageEmbedding,
    ReasoningSegmenter,
    choose_device,
    open_language_model,
)
from monai_lora_sam.prompting.object_prompt import ObjectPrompt
from monai_lora_sam.prompting.segment_files import pictures_of
from monai_lora_sam.prompting.segment_image import SegmentedObject, encode_pixels
from monai_lora_sam.prompting.write_objects import write_objects
from monai_lora_sam.stages import find_stage, load_stage


@dataclass(frozen=True, eq=False)
class AnsweredQuestion:
    """Hold the answer to a question.

    Attributes:
        question: as it was asked.
        text: the answer; ``[SEG]`` stands for each mask.
        objects: a mask for each, named by the words before it.
    """

    question: str
    text: str
    objects: list[SegmentedObject]


def load_reasoning(
    adapter: str | Path,
    weights: str | Path | None = None,
    language_model: str | Path | None = None,
    device: str | torch.device | None = None,
) -> ReasoningSegmenter:
    """Load a network that answers questions.

    Args:
        adapter: folder of a trained stage, or the name of an installed one.
        weights: file, folder or Hugging Face id of the image encoder's weights; by default its own.
        language_model: where the language model is; by default as the card names it.
        device: by default CUDA if there is one, else the CPU.

    Raises:
        FileNotFoundError: no such adapter, weights or language model.
        ValueError: an adapter that was not taught questions, or that belongs to another base.

    Example:
        >>> network = load_reasoning("models/reasoning/best")  # doctest: +SKIP
    """
    saved = open_adapter(find_stage(adapter))
    head = saved.card.get("head") or {}
    if head.get("type") != "reasoning" or not isinstance(head.get("language"), dict):
        raise ValueError(
            f"{saved.folder}: expected an adapter that answers questions (bundle reasoning_segmentation), found a "
            f"head of type {head.get('type')!r}"
        )
    source = str(language_model or head["language"].get("source"))
    open_language_model(source)  # a missing one is named as such, and not as a damaged adapter
    moved = {**head, "language": {**head["language"], "source": source}}
    network: Any = load_stage(
        dataclasses.replace(saved, card={**saved.card, "head": moved}),
        pretrained=True if weights is None else weights,
    )
    return network.to(choose_device(device))


def ask_image(
    network: ReasoningSegmenter,
    embedding: ImageEmbedding,
    questions: Sequence[str],
    temperature: float = 0.0,
) -> list[AnsweredQuestion]:
    """Answer questions about an image that :func:`encode_pixels` encoded.

    Args:
        network: in evaluation mode.
        embedding: of the image; it serves any number of questions.
        questions: answered at once.
        temperature: of sampling; 0 takes the likeliest token each time.

    Raises:
        ValueError: a question that is none; see :func:`monai_lora_sam.networks.check_question`.

    Example:
        >>> ask_image(network, encode_pixels(network, pixels), ["Where is the aorta?"])[0].text  # doctest: +SKIP
        'The aorta: [SEG].'
    """
    answers = network.answer(embedding, questions, temperature=temperature)
    answered = []
    for question, answer in zip(questions, answers, strict=True):
        names = [part.strip(" :,.;\n") for part in answer.text.split(SEG)]
        objects = [
            SegmentedObject(
                ObjectPrompt(name or f"mask {number}", text=question),
                (logits > 0).cpu().numpy(),
                float(iou.clamp(0, 1)),
            )
            for number, (name, logits, iou) in enumerate(
                zip(names[:-1], answer.logits, answer.iou, strict=True), 1
            )
        ]
        answered.append(AnsweredQuestion(question, answer.text, objects))
    return answered


def write_answer(
    folder: str | Path, image: str | Path, pixels: np.ndarray, answered: AnsweredQuestion, network: Any
) -> list[Path]:
    """Write `mask.png`, `overlay.png` and `segmentation.json` of an answer; the mask of one without any is empty.

    Args:
        folder: made where missing.
        image: file of the image, for the record.
        pixels: (H, W, 3), 0..1.
        answered: as :func:`ask_image` gives it.
        network: that answered.

    Returns:
        The files, `mask.png` first.
    """
    encoder = network.stack.encoder
    made_by = {
        "image": printable(Path(image).name),
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "language_model": {
            "source": network.head.language.source,
            "fingerprint": network.head.language.base,
        },
        "adapters": list(network.adapters),
        "question": answered.question,
        "answer": answered.text,
    }
    nothing = SegmentedObject(
        ObjectPrompt("nothing", text=answered.question), np.zeros(pixels.shape[:2], bool), None
    )
    return write_objects(folder, pixels, answered.objects or [nothing], made_by)


def ask_files(
    network: ReasoningSegmenter,
    source: str | Path,
    questions: Sequence[str],
    out: str | Path,
    temperature: float = 0.0,
) -> list[tuple[Path, str | None]]:
    """Ask the same questions about a picture, or about each picture of a folder, and carry on past a bad one.

    Args:
        network: in evaluation mode.
        source: a picture or a folder of pictures.
        questions: one or several.
        out: gets a folder for each picture, and in it one for each of several questions.
        temperature: see :func:`ask_image`.

    Returns:
        Each picture with its error, or with None where it was answered.

    Raises:
        FileNotFoundError: no such file or folder, or no picture in it.

    Example:
        >>> ask_files(network, "study", ["Where is the aorta?"], "results")  # doctest: +SKIP
    """
    outcomes: list[tuple[Path, str | None]] = []
    for path, folder in pictures_of(source, out):
        try:
            pixels = read_colour_image(path).pixels
            answered = ask_image(network, encode_pixels(network, pixels), questions, temperature)
            for number, one in enumerate(answered, 1):
                place = folder if len(answered) == 1 else folder / str(number)
                write_answer(place, path, pixels, one, network)
            outcomes.append((path, None))
        except (OSError, ValueError) as error:
            outcomes.append((path, str(error)))
    return outcomes
