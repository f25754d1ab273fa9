"""Segment the objects of a volume that prompts show in one slice each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from monai_lora_sam.inferers import SlicePropagationInferer
from monai_lora_sam.networks import PromptableSegmenter, TextSegmenter
from monai_lora_sam.prompting.object_prompt import ObjectPrompt
from monai_lora_sam.prompting.segment_image import SegmentedObject


def segment_volume(
    network: PromptableSegmenter | TextSegmenter,
    pixels: np.ndarray,
    prompts: Sequence[ObjectPrompt],
    slices: tuple[int, int] | None = None,
    progress: bool = False,
) -> list[SegmentedObject]:
    """Segment each object from its prompted slice onwards and backwards.

    Objects with a box in the same slice share the passes through the encoder.

    Args:
        network: in evaluation mode.
        pixels: (H, W, D), 0..1.
        prompts: the objects, each with its slice.
        slices: first and last slice to segment; None until each object ends.
        progress: show a bar of slices.

    Returns:
        Masks (H, W, D) in the order of the prompts, without a predicted intersection over union.

    Raises:
        ValueError: SAM 3 by words, a prompt without a slice or outside the volume, or nothing found in a slice.

    Example:
        >>> segment_volume(network, pixels, [ObjectPrompt("liver", (30, 40, 90, 80), (), 12)])  # doctest: +SKIP
    """
    if isinstance(network, TextSegmenter):
        raise ValueError("expected a network that boxes and points prompt for a volume, found SAM 3 by words")
    if without := [prompt.name for prompt in prompts if prompt.slice_index is None]:
        raise ValueError(f"{without[0]}: expected the slice that is prompted, found none")
    inferer = SlicePropagationInferer(progress=progress, sw_device=next(network.parameters()).device)
    volume = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))[None, None]
    masks: dict[str, np.ndarray] = {}
    for group in _groups(prompts):
        tensors = [prompt.tensors() for prompt in group]
        arguments = {name: torch.cat([one[name][0] for one in tensors]) for name in tensors[0]}
        try:
            logits = inferer(volume, network, slice_index=group[0].slice_index, slices=slices, **arguments)  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{', '.join(prompt.name for prompt in group)}: {error}") from error
        masks |= {prompt.name: (one > 0).numpy() for prompt, one in zip(group, logits[0], strict=True)}
    return [SegmentedObject(prompt, masks[prompt.name], None) for prompt in prompts]


def _groups(prompts: Sequence[ObjectPrompt]) -> list[list[ObjectPrompt]]:
    """Join the objects that have a box alone in the same slice; points stay alone, since their numbers differ."""
    together: dict[tuple[int | None, str], list[ObjectPrompt]] = {}
    for prompt in prompts:
        together.setdefault((prompt.slice_index, prompt.name if prompt.points else ""), []).append(prompt)
    return list(together.values())
