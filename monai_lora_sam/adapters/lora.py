"""All dealings with PEFT: what wraps an encoder, holds its adapters and switches them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer, LoraModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from monai_lora_sam.encoders import ImageEncoder, dequantise_encoder


def tuner(model: nn.Module) -> LoraModel | None:
    """Return PEFT's LoRA model, or None as long as the encoder carries no adapter."""
    base = model.base_model if isinstance(model, PeftModel) else None
    return base if isinstance(base, LoraModel) else None


def plain_encoder(model: nn.Module) -> ImageEncoder:
    """Return the image encoder, wrapped or not."""
    lora = tuner(model)
    return model if lora is None else lora.model  # type: ignore[return-value]


def inject(model: nn.Module, name: str, config: LoraConfig) -> nn.Module:
    """Add an adapter and return the model that holds it: the first one wraps the encoder."""
    if isinstance(model, PeftModel):
        model.add_adapter(name, config)
        return model
    return PeftModel(model, config, adapter_name=name)


def switch(model: nn.Module, active: Sequence[str], trained: Sequence[str]) -> None:
    """Apply the sum of the active adapters and give gradients to the trained ones alone.

    PEFT itself gives gradients to all that it activates, and sets them anew at each switch.
    """
    lora = tuner(model)
    if lora is not None:
        lora.set_adapter(list(active), inference_mode=True)
        lora.set_requires_grad(list(trained), True)


def set_dropout(model: nn.Module, trained: Sequence[str], mode: bool) -> None:
    """Put the dropout of the trained adapters in a mode and that of all others in evaluation mode."""
    for module in model.modules():
        if isinstance(module, LoraLayer):
            for name, dropout in module.lora_dropout.items():
                dropout.train(mode and name in trained)


def keep_statistics(model: nn.Module) -> None:
    """Put all batch normalisation in evaluation mode, so that training moves none of its running statistics."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def blocks_below(model: nn.Module, name: str) -> int:
    """Return the number of the encoder's first blocks that an adapter leaves as they are."""
    blocks = list(plain_encoder(model).blocks)
    inside = {id(module): index for index, block in enumerate(blocks) for module in block.modules()}
    layers = (m for m in model.modules() if isinstance(m, LoraLayer) and name in m.lora_A)  # type: ignore[misc]
    return min((inside.get(id(layer), 0) for layer in layers), default=len(blocks))


def config_of(model: nn.Module, name: str) -> LoraConfig:
    """Return PEFT's configuration of an adapter."""
    lora = tuner(model)
    assert lora is not None
    return lora.peft_config[name]  # type: ignore[return-value]


def tensors_of(model: nn.Module, name: str) -> dict[str, Tensor]:
    """Return the tensors of an adapter by the names that PEFT gives them on disk."""
    return get_peft_model_state_dict(model, adapter_name=name)


def set_tensors(model: nn.Module, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors by PEFT's names into an adapter."""
    set_peft_model_state_dict(model, dict(tensors), adapter_name=name)


def merged_copy(model: nn.Module, names: Sequence[str]) -> ImageEncoder:
    """Return a copy of the encoder with adapters merged into its weights and PEFT removed.

    4-bit weights come back in full precision first: PEFT itself would round their sum with an adapter to 4 bits again.
    """
    copied = copy.deepcopy(model)
    if plain_encoder(copied).quantisation is not None:
        copied = _in_full_precision(copied, names)
    lora = tuner(copied)
    if lora is None:
        return plain_encoder(copied)
    return lora.merge_and_unload(safe_merge=True, adapter_names=list(names))  # type: ignore[return-value]


def _in_full_precision(model: nn.Module, names: Sequence[str]) -> nn.Module:
    """Put adapters of an encoder with 4-bit layers on the same encoder with plain ones; the model given is used up."""
    kept = [(name, copy.deepcopy(config_of(model, name)), tensors_of(model, name)) for name in names]
    lora = tuner(model)
    plain: nn.Module = plain_encoder(model) if lora is None else lora.unload()  # type: ignore[assignment]
    dequantise_encoder(plain)  # type: ignore[arg-type]
    with torch.random.fork_rng():  # a fresh adapter draws random numbers
        for name, config, tensors in kept:
            plain = inject(plain, name, config)
            set_tensors(plain, name, tensors)
    return plain
