"""Words as prompts of SAM's mask decoder, beside points and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_lora_sam.networks.presence_head import PresenceHead
from monai_lora_sam.networks.prompt_head import CHANNELS, KINDS, PromptHead
from monai_lora_sam.networks.text_encoder import TextEncoder

#: Sparse prompts of a phrase: as many as a box has.
TOKENS = 2


class TextPromptHead(PromptHead):
    """Turn an embedding and phrases into masks and presence: sentence encoder → projection → SAM's decoder.

    A phrase is two sparse prompts, so that boxes and points can stand beside it. Its state holds projection, presence,
    and those tensors of the sentence encoder and the mask decoder that train; :meth:`load_base` reads the rest.

    Args:
        channels, prompts, trains, lora, base: see :class:`PromptHead`; ``phrases`` is a kind of prompt, too.
        text: arguments of :class:`TextEncoder`.

    Shapes:
        words: (B, N, width), sentence embeddings of N phrases an image. Returns logits (B, N, M, 4h, 4w), predicted IoU
        (B, N, M), and with words the logits of presence (B, N).

    Raises:
        ValueError: see :class:`PromptHead` and :class:`TextEncoder`.
    """

    head_type = "text"
    kinds = (*KINDS, "phrases")

    def __init__(
        self,
        channels: Sequence[int],
        prompts: Sequence[str] = kinds,
        trains: str = "frozen",
        lora: Mapping[str, Any] | None = None,
        base: str | None = None,
        text: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(channels, tuple(dict.fromkeys((*prompts, "phrases"))), trains, lora, base)
        self.text_encoder = TextEncoder(**(text or {"source": "minilm"}))
        width = self.text_encoder.width
        self.projection = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * CHANNELS),
            nn.GELU(),
            nn.Linear(2 * CHANNELS, TOKENS * CHANNELS),
        )
        self.presence = PresenceHead(CHANNELS)

    @property
    def config(self) -> dict[str, Any]:
        arguments = super().config
        if self.trains == "full":
            arguments["trains"] = "full"  # not the default of this head
        return arguments | {"text": self.text_encoder.config}

    def forward(  # type: ignore[override]
        self, embedding: Tensor, side: int, words: Tensor | None = None, **prompts: Any
    ) -> tuple[Tensor, ...]:
        if words is None:
            return self.decode(embedding, side, **prompts)
        with torch.autocast(embedding.device.type, enabled=False):
            tokens = self.projection(words.float()).unflatten(-1, (TOKENS, CHANNELS))
            logits, iou = self.decode(embedding, side, **prompts, tokens=tokens)
            batch, count = words.shape[:2]
            best = iou.argmax(2)[..., None, None, None].expand(-1, -1, 1, *logits.shape[-2:])
            whole = embedding.float().repeat_interleave(count, 0)
            places = self.positions(*whole.shape[-2:])
            presence = self.presence(
                whole, places, tokens.flatten(0, 1), logits.gather(2, best)[:, :, 0].flatten(0, 1)
            )
        return logits, iou, presence.unflatten(0, (batch, count))

    def load_base(self, encoder: str, pretrained: bool | str | Path) -> None:
        super().load_base(encoder, pretrained)
        self.text_encoder.load_base()

    def is_own(self, name: str) -> bool:
        if name.startswith("text_encoder."):
            return self.text_encoder.is_own(name.removeprefix("text_encoder."))
        return super().is_own(name) if name.startswith(("prompt_encoder.", "mask_decoder.")) else True
