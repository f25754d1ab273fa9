"""A language model before SAM's mask decoder: visual tokens in, prompts of masks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_lora_sam.networks.prompt_head import CHANNELS, KINDS, PromptHead
from monai_lora_sam.networks.reasoning.language_model import LanguageModel


class VisualTokens(nn.Module):
    """Turn an image embedding and its positions into tokens of a language model.

    Args:
        width: of the language model.
        grid: tokens along each side of the picture's square.

    Shapes:
        embedding: (B, 256, h, w); positions (1, 256, h, w). Returns (B, grid · grid, width), row by row.
    """

    def __init__(self, width: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.projection = nn.Sequential(
            nn.LayerNorm(2 * CHANNELS), nn.Linear(2 * CHANNELS, width), nn.GELU(), nn.Linear(width, width)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, embedding: Tensor, positions: Tensor) -> Tensor:
        seen = torch.cat([embedding.float(), positions.expand_as(embedding)], dim=1)
        cells = functional.adaptive_avg_pool2d(seen, self.grid).flatten(2).transpose(1, 2)
        return self.norm(self.projection(cells))


class ReasoningHead(PromptHead):
    """Read a picture and a question, answer in words, and prompt SAM's decoder by the hidden state of each `[SEG]`.

    The form is LISA's (Lai et al., CVPR 2024) with the image features of the promptable base as visual tokens. Its
    state holds projections and those tensors of the language model and the mask decoder that train; :meth:`load_base`
    reads the rest.

    Args:
        channels, prompts, trains, lora, base: see :class:`PromptHead`; ``questions`` is a kind of prompt, too.
        language: arguments of :class:`LanguageModel`.
        grid: visual tokens along each side of the picture.

    Shapes:
        tokens: (B, N, 1, 256), prompts of N masks an image. Returns logits (B, N, M, 4h, 4w) and predicted IoU
        (B, N, M).

    Raises:
        ValueError: see :class:`PromptHead` and :class:`LanguageModel`; a grid outside 1 to 32.
    """

    head_type = "reasoning"
    kinds = (*KINDS, "questions")

    def __init__(
        self,
        channels: Sequence[int],
        prompts: Sequence[str] = kinds,
        trains: str = "frozen",
        lora: Mapping[str, Any] | None = None,
        base: str | None = None,
        language: Mapping[str, Any] | None = None,
        grid: int = 8,
    ) -> None:
        super().__init__(channels, tuple(dict.fromkeys((*prompts, "questions"))), trains, lora, base)
        if type(grid) is not int or not 1 <= grid <= 32:
            raise ValueError(f"grid: expected 1 to 32 visual tokens along a side, found {grid!r}")
        self.language = LanguageModel(**(language or {"source": "smollm2"}))
        width = self.language.width
        self.visual = VisualTokens(width, grid)
        self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CHANNELS))

    @property
    def config(self) -> dict[str, Any]:
        arguments = super().config
        if self.trains == "full":
            arguments["trains"] = "full"  # not the default of this head
        return arguments | {"language": self.language.config, "grid": self.visual.grid}

    def forward(  # type: ignore[override]
        self, embedding: Tensor, side: int, tokens: Tensor | None = None, **prompts: Any
    ) -> tuple[Tensor, Tensor]:
        return self.decode(embedding, side, **prompts, tokens=tokens)

    def see(self, embedding: Tensor) -> Tensor:
        """Return the visual tokens (B, grid · grid, width) of image embeddings."""
        with torch.autocast(embedding.device.type, enabled=False):
            return self.visual(embedding, self.positions(*embedding.shape[-2:]))

    def prompts_of(self, hidden: Tensor) -> Tensor:
        """Return the prompts (K, 256) of the hidden states (K, width) of `[SEG]`."""
        with torch.autocast(hidden.device.type, enabled=False):
            return self.projection(hidden.float())

    def start(self) -> None:
        """Read the language model for a fresh head, and bring visual tokens to the length of its words."""
        self.language.load_base(overwrite=True)
        words = self.language.model.get_input_embeddings().base.weight
        with torch.no_grad():
            self.visual.norm.weight.fill_(float(words.float().std()))

    def load_base(self, encoder: str, pretrained: bool | str | Path) -> None:
        super().load_base(encoder, pretrained)
        self.language.load_base()

    def is_own(self, name: str) -> bool:
        if name.startswith("language."):
            return self.language.is_own(name.removeprefix("language."))
        return super().is_own(name) if name.startswith(("prompt_encoder.", "mask_decoder.")) else True
