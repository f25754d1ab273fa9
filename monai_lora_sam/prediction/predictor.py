"""A loaded stage that segments one picture after another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_lora_sam.networks import AdaptedSegmenter, PromptableSegmenter, TextSegmenter
from monai_lora_sam.prompting import (
    SegmentedObject,
    find_objects,
    load_automatic,
    load_promptable,
    made_by,
    read_prompts,
    segment_image,
)


class StagePredictor:
    """Segment pictures by a stage or adapter: what it finds by itself, or what the same prompts show in each.

    Args:
        stage: folder of a stage or adapter, or the name of an installed one.
        prompts: JSON file of the prompts for a stage that needs some.
        weights: file, folder or Hugging Face id of the encoder's weights; by default its own.
        parents: folders of the stages that it was trained on top of, where they are not installed.
        device: by default CUDA if there is one, else the CPU.

    Raises:
        FileNotFoundError, ValueError: see :func:`monai_lora_sam.prompting.load_automatic` and
            :func:`monai_lora_sam.prompting.load_promptable`.

    Example:
        >>> predictor = StagePredictor("vessels")  # doctest: +SKIP
        >>> predictor(pixels)[0].mask.shape  # doctest: +SKIP
        (512, 512)
    """

    network: AdaptedSegmenter | PromptableSegmenter | TextSegmenter

    def __init__(
        self,
        stage: str | Path,
        prompts: str | Path | None = None,
        weights: str | Path | None = None,
        parents: Sequence[str | Path] = (),
        device: str | torch.device | None = None,
    ) -> None:
        self.prompts = [] if prompts is None else read_prompts(prompts)
        self.class_names: list[str] = []
        if self.prompts:
            self.network = load_promptable(weights=weights, adapter=stage, device=device)
        else:
            self.network, self.class_names = load_automatic(
                stage, weights=weights, device=device, parents=parents
            )

    @property
    def device(self) -> str:
        """Where the network runs."""
        return str(next(self.network.parameters()).device)

    def __call__(self, pixels: np.ndarray) -> list[SegmentedObject]:
        """Return the objects of a picture (H, W, 3), 0..1.

        Raises:
            ValueError: a prompt that does not fit the picture.
        """
        if isinstance(self.network, AdaptedSegmenter):
            return find_objects(self.network, pixels, self.class_names)
        return segment_image(self.network, pixels, self.prompts)

    def made_by(self, image: str) -> dict[str, Any]:
        """Return the entries of an image's record that name the network."""
        return made_by(image, self.network)
