"""Build the network of a stage of fake tensors: shapes and types, no numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from monai_lora_sam.encoders import ImageEncoder, build_encoder
from monai_lora_sam.memory.configuration import StepConfiguration
from monai_lora_sam.networks import AdaptedSegmenter, build_segmenter

#: Weights that share a scale of one byte in 4-bit layers; scales that share one of four.
BLOCK, NESTED_BLOCK = 64, 256


class Packed4bit(torch.autograd.Function):
    """Multiply by a weight that is unpacked from 4 bits for the product alone, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Linear4bit) -> Tensor:  # type: ignore[override]
        ctx.layer = layer
        return nn.functional.linear(x, layer.unpacked(x.dtype))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return gradient @ ctx.layer.unpacked(gradient.dtype), None


class Linear4bit(nn.Linear):
    """Take the memory of a linear layer with 4-bit weights; bitsandbytes' own has no fake tensors."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.bias = linear.bias
        count = linear.weight.numel()
        blocks = -(-count // BLOCK)
        bytes_held = -(-count // 2) + blocks + 4 * (-(-blocks // NESTED_BLOCK) + BLOCK + NESTED_BLOCK)
        self.weight = nn.Parameter(
            torch.empty(bytes_held, 1, dtype=torch.uint8, device="meta"), requires_grad=False
        )

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """Return the weight as the product takes it."""
        return torch.empty(self.out_features, self.in_features, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        result = Packed4bit.apply(x, self)
        return result if self.bias is None else result + self.bias.to(result.dtype)


def meta_segmenter(configuration: StepConfiguration) -> AdaptedSegmenter:
    """Build the network of stage 1 as its bundle does, on the meta device.

    Raises:
        ValueError: a size, target, layer or quantisation that the encoder cannot take.
    """
    c = configuration
    with torch.device("meta"):
        encoder = build_encoder(
            c.encoder, None, c.image_size, getattr(torch, c.base), gradient_checkpointing=c.checkpointing
        )
        if c.quantise is not None:
            layers = {n: m for n, m in encoder.model.named_modules() if type(m) is nn.Linear}
            if not layers:
                raise ValueError(
                    f"{c.encoder}: expected an encoder with linear layers to quantise, found convolutions alone"
                )
            for name, layer in layers.items():
                encoder.model.set_submodule(name, Linear4bit(layer))
        network = network_on(encoder, c)
    return network.train(c.training)


def network_on(encoder: ImageEncoder, configuration: StepConfiguration) -> AdaptedSegmenter:
    """Put adapters and head of a configuration on an encoder."""
    c = configuration
    return build_segmenter(
        encoder,
        c.head,
        strategy=c.strategy,
        last_n=c.last_n,
        lora={"r": c.rank, "alpha": 2 * c.rank, "targets": c.targets, "layers": c.layers},
        width=c.head_width,
        mixed_precision=c.mixed_precision,
    )


def make_fake(network: nn.Module) -> None:
    """Replace meta parameters and buffers by fake tensors on the CPU, channels last; call it in fake mode."""
    made: dict[int, nn.Parameter] = {}
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in made:
                made[id(parameter)] = nn.Parameter(_fake(parameter), requires_grad=parameter.requires_grad)
            module._parameters[name] = made[id(parameter)]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = _fake(buffer)


def _fake(tensor: Tensor) -> Tensor:
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", memory_format=layout)
