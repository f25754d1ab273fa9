"""Segment the objects of an image by each kind of prompt in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from monai_lora_sam.networks import ImageEmbedding, PromptableSegmenter, PromptedMasks
from monai_lora_sam.transforms import next_click, protocol_points, shifted_box, tight_box

Mask = NDArray[np.bool_]

#: Distance in pixels by which the shifted box is moved.
SHIFT = 20
#: Numbers of clicks after which the mask is scored.
CLICKS = (1, 3, 5, 10)


class Prompts(NamedTuple):
    """Hold the prompts for one object: foreground points (K, 2) as (x, y), a box (4,), or both."""

    points: NDArray[np.float32] | None = None
    box: NDArray[np.float32] | None = None


#: Kind of prompt → the prompts for a mask.
PROMPT_MODES: MappingProxyType[str, Callable[[Mask, np.random.Generator], Prompts]] = MappingProxyType(
    {
        "1 point": lambda mask, generator: Prompts(points=protocol_points(mask, 1)),
        "5 points": lambda mask, generator: Prompts(points=protocol_points(mask, 5)),
        "box": lambda mask, generator: Prompts(box=tight_box(mask)),
        f"box shifted {SHIFT} px": lambda mask, generator: Prompts(box=shifted_box(mask, SHIFT, generator)),
        "box + 5 points": lambda mask, generator: Prompts(protocol_points(mask, 5), tight_box(mask)),
    }
)
#: Names of the answers after so many clicks.
CLICK_MODES = tuple(f"{count} click{'s' * (count > 1)}" for count in CLICKS)
#: All kinds of prompt in the order of tables.
MODES = (*PROMPT_MODES, *CLICK_MODES)
#: How the mask is chosen, and the words for it.
CHOICE_TITLES: MappingProxyType[str, str] = MappingProxyType(
    {
        "single": "The decoder's single mask",
        "predicted": "Of three masks the one with the highest predicted IoU",
        "oracle": "Of three masks the one with the highest Dice to the truth, which no user knows",
    }
)
CHOICES = tuple(CHOICE_TITLES)


class Answer(NamedTuple):
    """Hold the mask (H, W) of an object, by its number, for one kind of prompt, and its predicted IoU."""

    number: int
    mode: str
    choice: str
    mask: Mask
    predicted_iou: float


def answers(
    network: PromptableSegmenter,
    embedding: ImageEmbedding,
    truths: Sequence[Mask],
    generators: Sequence[np.random.Generator],
    modes: Sequence[str] = MODES,
) -> Iterator[Answer]:
    """Segment the objects of an image by every kind of prompt.

    Args:
        network: in evaluation mode.
        embedding: of one image.
        truths: (H, W) bool, one for each object; prompts are drawn from them.
        generators: source of randomness, one for each object.
        modes: kinds of prompt, of `MODES`.

    Returns:
        An iterator of answers: those of `PROMPT_MODES` for each of `CHOICES`, those of `CLICK_MODES` for the single
        mask.
    """
    device = embedding.features.device
    truth = torch.from_numpy(np.stack(truths)).to(device)
    for mode, draw in PROMPT_MODES.items():
        if mode not in modes:
            continue
        prompts = [draw(mask, generator) for mask, generator in zip(truths, generators, strict=True)]
        tensors = _as_tensors(prompts, device)
        chosen = {"single": network.decode(embedding, **tensors)}
        three = network.decode(embedding, **tensors, multimask=True)
        chosen["predicted"] = _pick(three, three.iou[0].argmax(1))
        chosen["oracle"] = _pick(three, _dice(three.logits[0] > 0, truth[:, None]).argmax(1))
        for choice, masks in chosen.items():
            found, iou = (masks.logits[0, :, 0] > 0).cpu().numpy(), masks.iou[0, :, 0].tolist()
            for index, mask in enumerate(found):
                yield Answer(index, mode, choice, mask, iou[index])
    clicks = [count for count, mode in zip(CLICKS, CLICK_MODES, strict=True) if mode in modes]
    if clicks:
        yield from _clicked(network, embedding, truths, clicks)


def _clicked(
    network: PromptableSegmenter, embedding: ImageEmbedding, truths: Sequence[Mask], counts: Sequence[int]
) -> Iterator[Answer]:
    """Correct the largest error click by click, with the previous answer as a prompt."""
    device = embedding.features.device
    found = [np.zeros_like(mask) for mask in truths]
    iou = [0.0] * len(truths)
    clicks: list[list[tuple[NDArray[np.float32], int]]] = [[] for _ in truths]
    logits = torch.zeros(len(truths), *embedding.size, device=device)
    for count in range(1, max(counts) + 1):
        wrong = []
        for index, truth in enumerate(truths):
            click = next_click(truth, found[index])
            if click is not None:
                clicks[index].append(click)
                wrong.append(index)
        if wrong:
            points = np.array([[xy for xy, _ in clicks[index]] for index in wrong])
            labels = np.array([[label for _, label in clicks[index]] for index in wrong])
            masks = network.decode(
                embedding,
                points=torch.from_numpy(points)[None].to(device),
                point_labels=torch.from_numpy(labels)[None].to(device),
                masks=logits[wrong][None] if count > 1 else None,
            )
            logits[wrong] = masks.logits[0, :, 0]
            for place, index in enumerate(wrong):
                found[index] = (masks.logits[0, place, 0] > 0).cpu().numpy()
                iou[index] = float(masks.iou[0, place, 0])
        if count in counts:
            for index, mask in enumerate(found):
                yield Answer(index, CLICK_MODES[CLICKS.index(count)], "single", mask, iou[index])


def _as_tensors(prompts: Sequence[Prompts], device: torch.device) -> dict[str, Any]:
    """Return the prompts of the N objects of one image as the network's arguments."""
    tensors: dict[str, Any] = {}
    points = [prompt.points for prompt in prompts if prompt.points is not None]
    boxes = [prompt.box for prompt in prompts if prompt.box is not None]
    if points:
        tensors["points"] = torch.from_numpy(np.stack(points))[None].to(device)
        tensors["point_labels"] = torch.ones(tensors["points"].shape[:3], dtype=torch.int64, device=device)
    if boxes:
        tensors["boxes"] = torch.from_numpy(np.stack(boxes))[None].to(device)
    return tensors


def _pick(masks: PromptedMasks, index: torch.Tensor) -> PromptedMasks:
    """Keep one mask of each prompt: index (N,)."""
    prompts = torch.arange(len(index), device=index.device)
    return PromptedMasks(masks.logits[:, prompts, index][:, :, None], masks.iou[:, prompts, index][..., None])


def _dice(masks: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the Dice (N, M) of masks (N, M, H, W) to truths (N, 1, H, W)."""
    overlap = (masks & truth).sum((-2, -1))
    return 2 * overlap / (masks.sum((-2, -1)) + truth.sum((-2, -1))).clamp(min=1)
