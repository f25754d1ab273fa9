"""Make fake tensors on the CPU behave as they would on CUDA: autocast, attention, dropout.

Fake CUDA tensors go no further than the forward pass without a GPU: the backward pass asks the driver for a stream.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

#: Operators that autocast runs in float32 on CUDA but not on the CPU, as far as encoders and heads use them.
FLOAT32 = {
    functional.layer_norm,
    torch.layer_norm,
    functional.group_norm,
    torch.group_norm,
    functional.softmax,
    torch.softmax,
    Tensor.softmax,
    torch.pow,
    Tensor.pow,
    Tensor.__pow__,
    torch.rsqrt,
    torch.exp,
    torch.log,
    torch.sum,
    Tensor.sum,
    functional.softplus,
}
#: Bytes between which the efficient kernel wants the rows of its bias to lie.
BIAS_ALIGNMENT = 16
LARGEST_FLASH_HEAD = 256


class CudaOperators(TorchFunctionMode):
    """Run the operators that differ between CUDA and the CPU in memory as CUDA does, on fake CPU tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return attend(*args, **kwargs)
        if func is functional.dropout:
            return _dropout(*args, **kwargs)
        if func in FLOAT32 and torch.is_autocast_enabled("cpu"):
            args = tuple(_in_float32(value) for value in args)
            kwargs = {key: _in_float32(value) for key, value in kwargs.items()}
        return func(*args, **kwargs)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attend by the kernel that torch chooses on CUDA: flash, or memory-efficient with a mask or in float32."""
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = (x.to(dtype) for x in (query, key, value))
        attn_mask = (
            attn_mask.to(dtype) if attn_mask is not None and attn_mask.is_floating_point() else attn_mask
        )
    width = query.shape[-1]
    scale = width**-0.5 if scale is None else scale
    if width % 8:
        query, key, value = (functional.pad(x, (0, 8 - width % 8)) for x in (query, key, value))
    if attn_mask is None and query.dtype is not torch.float32 and width <= LARGEST_FLASH_HEAD:
        result = torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, dropout_p, is_causal, scale=scale
        )[0]
        return result[..., :width]
    if attn_mask is not None:
        if attn_mask.dtype is torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype)
        attn_mask = _aligned(attn_mask).expand(*query.shape[:2], query.shape[2], key.shape[2])
    gradients = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    result = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, gradients, dropout_p, is_causal, scale=scale
    )[0]
    return result[..., :width]


def _aligned(mask: Tensor) -> Tensor:
    """Copy a mask whose rows do not lie where the kernel wants them, as torch does."""
    last = mask.shape[-1]
    if last % BIAS_ALIGNMENT == 0:
        return mask
    return functional.pad(mask, (0, BIAS_ALIGNMENT - last % BIAS_ALIGNMENT))[..., :last]


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop with a mask of one byte an element, as CUDA does; the CPU's has the type of the input."""
    return torch.native_dropout(input, p, True)[0] if training and p > 0 else input


def cuda_workspace(operator: Any, arguments: Any) -> int:
    """Return the bytes of the copy that the backward pass of interpolation makes of a gradient with gaps.

    The gradient of one part of joined channels is a view with gaps between its pixels.
    """
    if operator is not torch.ops.aten.upsample_bilinear2d_backward.default:
        return 0
    gradient = arguments[0]
    layouts = (torch.contiguous_format, torch.channels_last)
    if any(gradient.is_contiguous(memory_format=layout) for layout in layouts):
        return 0
    return gradient.numel() * gradient.element_size()


def _in_float32(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if half else value
