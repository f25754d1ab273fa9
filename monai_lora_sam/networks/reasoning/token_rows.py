"""One more token beside the vocabulary of a language model: its rows in the embedding and in the output layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ExtendedEmbedding(nn.Module):
    """Embed one token more than an embedding has; its row alone trains.

    The new token's id is the number of the base's rows.

    Args:
        base: an embedding (V, width).

    Shapes:
        ids: (...), 0 to V. Returns (..., width).

    Example:
        >>> ExtendedEmbedding(nn.Embedding(5, 2))(torch.tensor([4, 5])).shape
        torch.Size([2, 2])
    """

    def __init__(self, base: nn.Embedding) -> None:
        super().__init__()
        self.base = base
        self.rows = nn.Parameter(torch.zeros(1, base.embedding_dim))

    def forward(self, ids: Tensor) -> Tensor:
        new = ids == self.base.num_embeddings
        known = self.base(ids.masked_fill(new, 0))
        return torch.where(new[..., None], self.rows[0].to(known.dtype), known)


class ExtendedOutput(nn.Module):
    """Score one token more than an output layer has; its row alone trains.

    Args:
        base: a linear layer from width to V.

    Shapes:
        hidden: (..., width). Returns logits (..., V + 1), float32.

    Example:
        >>> ExtendedOutput(nn.Linear(2, 5))(torch.zeros(1, 2)).shape
        torch.Size([1, 6])
    """

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.rows = nn.Parameter(torch.zeros(1, base.in_features))

    def forward(self, hidden: Tensor) -> Tensor:
        known = self.base(hidden.to(self.base.weight.dtype))
        return torch.cat([known.float(), hidden.float() @ self.rows.T], dim=-1)
