"""A linear layer with 4-bit weights that also runs on every CPU and loads its own state dict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from bitsandbytes import matmul_4bit
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit, Params4bit
from bitsandbytes.utils import unpack_tensor_to_dict
from torch import Tensor, nn

#: Weights that share a scale, and scales that share a scale of their own.
BLOCK, NESTED_BLOCK = 64, 256
#: End of the name of the tensor that holds the numbers of a layer's quantisation as JSON.
PACKED = "quant_state.bitsandbytes__nf4"


class QuantisedLinear(Linear4bit):
    """Hold the weights of a linear layer in NF4 with double quantisation (Dettmers et al., QLoRA, NeurIPS 2023).

    It computes in the type of its input, under autocast in that of autocast, as ``nn.Linear`` does. bitsandbytes' own
    layer computes in one type that is fixed beforehand, to which it rounds its bias in place. On CPUs with bfloat16
    instructions it also rewrites weights and scales in place for inference, with rounded scales, and fails where the
    number of inputs is no multiple of 64.

    Args:
        linear: whose weights are taken over; it is on the CPU, or on the meta device to be filled by
            ``load_state_dict``.

    Shapes:
        input: (..., inputs); returns (..., outputs).
    """

    weight: Any  # bitsandbytes' parameter, with the state of its quantisation

    def __init__(self, linear: nn.Linear) -> None:
        # PEFT makes adapters of the compute type, which has no other use here.
        super().__init__(
            linear.in_features,
            linear.out_features,
            linear.bias is not None,
            compute_dtype=torch.float32,
            quant_type="nf4",
            device="meta",
        )
        self.bias = linear.bias
        if not linear.weight.is_meta:
            weight: Any = Params4bit(linear.weight.detach().float(), requires_grad=False, quant_type="nf4")
            self.weight = weight.to("cpu")  # which quantises it

    def forward(self, x: Tensor) -> Tensor:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        return matmul_4bit(x.to(dtype), self.weight, self.weight.quant_state, bias=bias)

    def full_precision(self, dtype: torch.dtype = torch.float32) -> nn.Linear:
        """Return a plain layer with the same weights."""
        weight = dequantize_4bit(self.weight.data, self.weight.quant_state)
        linear = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        linear.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
        linear.bias = self.bias
        return linear

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load a weight with its quantisation, which bitsandbytes' own layer takes for unexpected tensors."""
        name = f"{prefix}weight"
        weight = {
            key: value for key, value in state_dict.items() if key == name or key.startswith(f"{name}.")
        }
        others = {key: value for key, value in state_dict.items() if key not in weight}
        missing: list[str] = []
        super()._load_from_state_dict(
            others, prefix, local_metadata, strict, missing, unexpected_keys, error_msgs
        )
        if len(weight) < 2:
            missing_keys += missing
            return
        missing_keys += [key for key in missing if key != name]
        parts = {key.removeprefix(f"{name}."): value for key, value in weight.items() if key != name}
        device = "cpu" if self.weight.is_meta else self.weight.device
        self.weight = Params4bit.from_prequantized(weight[name], parts, device=device)


def quantised_tensors(layer: nn.Linear, name: str) -> dict[str, Tensor]:
    """Return the tensors, on the meta device, that hold the quantised weight of a layer on disk, but its numbers.

    Args:
        layer: with plain weights.
        name: of the layer.
    """
    count = layer.weight.numel()
    blocks = math.ceil(count / BLOCK)
    shapes = {
        "weight": ((math.ceil(count / 2), 1), torch.uint8),
        "weight.absmax": ((blocks,), torch.uint8),
        "weight.quant_map": ((16,), torch.float32),
        "weight.nested_absmax": ((math.ceil(blocks / NESTED_BLOCK),), torch.float32),
        "weight.nested_quant_map": ((256,), torch.float32),
    }
    return {
        f"{name}.{key}": torch.empty(shape, dtype=dtype, device="meta")
        for key, (shape, dtype) in shapes.items()
    }


def check_numbers(layer: nn.Linear, name: str, found: Mapping[str, Tensor]) -> None:
    """Raise a ``ValueError`` unless the numbers of a layer's quantisation, and the types of its tensors, fit.

    bitsandbytes reads memory by these numbers without checking them.
    """
    for key, expected in quantised_tensors(layer, name).items():
        if found[key].dtype != expected.dtype:
            raise ValueError(f"{key}: expected {expected.dtype}, found {found[key].dtype}")
    try:
        numbers = unpack_tensor_to_dict(found[f"{name}.weight.{PACKED}"])
        offset = numbers.pop("nested_offset")
    except Exception as error:  # bytes that are no JSON end in several types
        raise ValueError(f"{name}.weight: expected the numbers of its quantisation, found none") from error
    expected_numbers = {
        "quant_type": "nf4",
        "blocksize": BLOCK,
        "dtype": "float32",
        "shape": [layer.out_features, layer.in_features],
        "nested_blocksize": NESTED_BLOCK,
        "nested_dtype": "float32",
    }
    if numbers != expected_numbers or not isinstance(offset, float) or not math.isfinite(offset):
        raise ValueError(f"{name}.weight: expected the quantisation {expected_numbers}, found {numbers}")
