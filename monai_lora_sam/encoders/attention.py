"""Scaled dot-product attention that also trains fast on a CPU in bfloat16."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from monai_lora_sam.encoders.fused_attention import fused_alone

NAME = "sdpa_or_cpu_training"

# Above this size of the score matrix glibc maps fresh pages for each one and the fused kernel wins again.
LARGEST_SCORES_BYTES = 32 * 1024**2


def attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend, by transformers' ``sdpa`` except where gradients in bfloat16 on a CPU are wanted.

    There the backward pass of torch's fused kernel takes several times as long as two batched matrix products
    and a softmax, until the scores grow too large. All else, inference included, is ``sdpa`` to the bit.

    Args:
        module: the attention module, as transformers passes it.
        query, key, value: (B, heads, tokens, channels of a head).
        attention_mask, dropout, scaling, kwargs: as transformers passes them.

    Returns:
        (B, tokens, heads, channels of a head), and ``None`` for the weights that are not kept.
    """
    scores_bytes = query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2] * query.element_size()
    plain = (
        not fused_alone()
        and query.device.type == "cpu"
        and query.dtype is torch.bfloat16
        and torch.is_grad_enabled()
        and (query.requires_grad or key.requires_grad or value.requires_grad)
        and attention_mask is None
        and dropout == 0.0
        and scores_bytes <= LARGEST_SCORES_BYTES
    )
    if not plain:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    weights = torch.softmax((query * scaling) @ key.transpose(-1, -2), dim=-1, dtype=query.dtype)
    return (weights @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attention_forward)
