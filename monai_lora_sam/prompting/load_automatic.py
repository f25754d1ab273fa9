"""Load a network that finds objects without a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from monai_lora_sam.adapters import open_adapter
from monai_lora_sam.networks import AdaptedSegmenter, choose_device
from monai_lora_sam.prompting.load_promptable import check_fits
from monai_lora_sam.stages import find_parents, find_stage, head_type, load_stage, read_stage_card


def load_automatic(
    adapter: str | Path,
    encoder: str | None = None,
    weights: str | Path | None = None,
    image_size: int | None = None,
    device: str | torch.device | None = None,
    parents: Sequence[str | Path] = (),
) -> tuple[AdaptedSegmenter, list[str]]:
    """Load the encoder that a stage was trained on, its adapter and its head, which needs no prompt.

    Args:
        adapter: folder of a stage, or the name of an installed one.
        encoder, image_size: expected of it; None for its own.
        weights: file, folder or Hugging Face id of the encoder's weights; by default its own.
        device: by default CUDA if there is one, else the CPU.
        parents: folders of the stages that it was trained on top of; by default they are looked for among the
            installed ones.

    Returns:
        The network in evaluation mode, and the names of its maps.

    Raises:
        FileNotFoundError: no such stage or weights.
        ValueError: a stage that needs a prompt, or that does not fit.

    Example:
        >>> network, class_names = load_automatic("adapters/drive")  # doctest: +SKIP
    """
    saved = open_adapter(find_stage(adapter))
    check_fits(saved, encoder, image_size)
    head = head_type(saved)
    if head == "prompts":
        raise ValueError(
            f"{saved.folder}: expected a prompt for this adapter (--box, --point or --prompts), found none"
        )
    card = read_stage_card(saved.folder)
    stage = load_stage(
        saved, parents=parents or find_parents(card), pretrained=True if weights is None else weights
    )
    if not isinstance(stage, AdaptedSegmenter):
        raise ValueError(f"{saved.folder}: expected a stage that gives masks, found a head of type {head!r}")
    return stage.to(choose_device(device)), list(card["class_names"])
