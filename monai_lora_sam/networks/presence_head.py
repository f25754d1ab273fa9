"""Tell whether an object that words name is in an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_HEADS = 8


class PresenceHead(nn.Module):
    """Return the logit of a phrase's object being in the image.

    The phrase's tokens look at the whole embedding, and beside it stands the mean of the embedding under the mask. The
    mask itself gets no gradient from here.

    Args:
        channels: of the embedding and of the tokens.

    Shapes:
        embedding, positions: (P, C, h, w); tokens (P, T, C); logits (P, 4h, 4w) of the mask. Returns (P,).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Not nn.MultiheadAttention, whose last bits depend on whether its weights have gradients.
        self.query, self.key, self.value, self.output = (nn.Linear(channels, channels) for _ in range(4))
        self.norm = nn.LayerNorm(3 * channels)
        self.judge = nn.Sequential(nn.Linear(3 * channels, channels), nn.GELU(), nn.Linear(channels, 1))

    def forward(self, embedding: Tensor, positions: Tensor, tokens: Tensor, logits: Tensor) -> Tensor:
        rows, columns = embedding.shape[-2:]
        pixels = embedding.flatten(2).transpose(1, 2)  # (P, h·w, C)
        places = (embedding + positions).flatten(2).transpose(1, 2)
        heads = [
            part.unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for part in (self.query(tokens), self.key(places), self.value(pixels))
        ]
        seen = self.output(functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        share = functional.adaptive_avg_pool2d(logits.detach().sigmoid()[:, None], (rows, columns))
        under = (share * embedding).sum((-2, -1)) / share.sum((-2, -1)).clamp_min(1e-4)
        facts = torch.cat([seen.mean(1), under, tokens.mean(1)], dim=1)
        return self.judge(self.norm(facts))[:, 0]
