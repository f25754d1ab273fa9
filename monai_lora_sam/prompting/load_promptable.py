"""Load a promptable network with an adapter of its own or without."""

from __future__ import annotations

from pathlib import Path
from typing import overload

import torch

from monai_lora_sam.adapters import SavedAdapter, open_adapter
from monai_lora_sam.networks import PromptableSegmenter, TextSegmenter, build_promptable, choose_device
from monai_lora_sam.stages import find_stage, head_type, load_stage

DEFAULT_ENCODER = "medsam_lite"


@overload
def load_promptable(
    encoder: str | None = None,
    weights: str | Path | None = None,
    image_size: int | None = None,
    adapter: None = None,
    device: str | torch.device | None = None,
) -> PromptableSegmenter: ...


@overload
def load_promptable(
    encoder: str | None = None,
    weights: str | Path | None = None,
    image_size: int | None = None,
    adapter: str | Path | None = None,
    device: str | torch.device | None = None,
) -> PromptableSegmenter | TextSegmenter: ...


def load_promptable(
    encoder: str | None = None,
    weights: str | Path | None = None,
    image_size: int | None = None,
    adapter: str | Path | None = None,
    device: str | torch.device | None = None,
) -> PromptableSegmenter | TextSegmenter:
    """Load encoder, prompt encoder and mask decoder, and an adapter on them.

    Args:
        encoder: its name; by default the adapter's own, or LiteMedSAM.
        weights: file, folder or Hugging Face id of the weights; by default the encoder's own.
        image_size: side in pixels of the square that images are scaled into; by default that of the weights.
        adapter: folder of an adapter or of a stage with a prompt head, or the name of an installed one; that of SAM 3
            by its own words gives a :class:`TextSegmenter`.
        device: by default CUDA if there is one, else the CPU.

    Returns:
        The network in evaluation mode, with the adapter active.

    Raises:
        FileNotFoundError: no such weights or adapter.
        ValueError: weights or an adapter that do not fit.

    Example:
        >>> network = load_promptable()  # doctest: +SKIP
    """
    place = choose_device(device)
    pretrained = True if weights is None else weights
    if adapter is None:
        return build_promptable(encoder or DEFAULT_ENCODER, pretrained, image_size).to(place)
    saved = open_adapter(find_stage(adapter))
    made_on, quantise = saved.card["encoder"]["name"], saved.card["encoder"].get("quantisation")
    head = saved.card.get("head")
    check_fits(saved, encoder, None if head is None else image_size)
    if head is None:
        side = image_size or saved.card.get("input_size")
        network = build_promptable(made_on, pretrained, side, quantise=quantise)
        network.adapters = (network.stack.load(saved),)
        return network.to(place).eval()
    stage = load_stage(saved.folder, pretrained=pretrained)
    if not isinstance(stage, PromptableSegmenter | TextSegmenter):
        raise ValueError(
            f"{saved.folder}: expected a stage that is prompted, found a head of type {head_type(saved)!r}, which "
            "needs no prompt: see `monai-lora-sam run` and `monai-lora-sam segment` without one"
        )
    return stage.to(place)


def check_fits(saved: SavedAdapter, encoder: str | None, image_size: int | None) -> None:
    """Refuse another encoder or another side than a stage was trained with; None asks for nothing."""
    made_on, side = saved.card["encoder"]["name"], saved.card.get("input_size")
    if encoder not in (None, made_on):
        raise ValueError(
            f"{saved.folder}: expected the encoder it was trained on, {made_on!r}, found {encoder!r}"
        )
    if image_size not in (None, side):
        raise ValueError(
            f"{saved.folder}: expected the image size it was trained at, {side}, found {image_size}"
        )
