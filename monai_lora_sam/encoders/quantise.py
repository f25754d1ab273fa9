"""Turn the linear layers of an encoder into 4-bit ones and back, in memory and on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

if TYPE_CHECKING:
    from monai_lora_sam.encoders.base import ImageEncoder

#: The kind of quantisation there is.
NF4 = "nf4"
#: Entries of the metadata of quantised weights: fingerprint of the base in float32, SHA-256 of the tensors.
BASE, TENSORS = "base_fingerprint", "tensors_sha256"
#: Entry of ``config.json`` from which transformers knows 4-bit weights.
CONFIG_ENTRY = "quantization_config"


def quantise_encoder(encoder: ImageEncoder, kind: str = NF4) -> None:
    """Replace every linear layer of an encoder by one in 4 bits; the fingerprint stays that of the base in float32.

    Convolutions, norms and positions stay as they are. The layers are quantised on the CPU, so that a base is the same
    on every device.

    Args:
        encoder: without adapters, on the CPU.
        kind: ``"nf4"``.

    Raises:
        ValueError: another kind, an encoder without linear layers, or one without weights (meta device).
        ModuleNotFoundError: bitsandbytes is not installed.
    """
    if kind != NF4:
        raise ValueError(f"quantise: expected None or {NF4!r}, found {kind!r}")
    if not _linear_layers(encoder.model):
        raise ValueError(
            f"{encoder.name}: expected an encoder with linear layers to quantise, found convolutions alone; "
            "medsam_lite, mini_vit and SAM's (sam_vit_b, sam3, ...) have them"
        )
    if any(parameter.is_meta for parameter in encoder.parameters()):
        raise ValueError(f"{encoder.name}: expected weights to quantise, found none (meta device)")
    encoder.fingerprint  # noqa: B018  (taken now, in float32)
    quantise_linear_layers(encoder.model)
    _mark(encoder, kind)


def quantise_linear_layers(model: nn.Module, skip: Callable[[str], bool] = lambda name: False) -> None:
    """Replace the plain linear layers of a network on the CPU by layers in 4 bits (NF4 with double quantisation).

    Args:
        model: changed in place.
        skip: returns True for the name of a layer that stays as it is.

    Raises:
        ModuleNotFoundError: bitsandbytes is not installed.

    Example:
        >>> quantise_linear_layers(nn.Sequential(nn.Linear(64, 64)))  # doctest: +SKIP
    """
    for name, layer in _linear_layers(model).items():
        if not skip(name):
            model.set_submodule(name, _library().QuantisedLinear(layer))


def dequantise_encoder(encoder: ImageEncoder) -> None:
    """Replace every 4-bit layer of an encoder by a plain one with the same weights, in the type of the others.

    It is another base than the one that was quantised, since weights were rounded: its fingerprint is taken anew.
    """
    layers = {
        name: module
        for name, module in encoder.model.named_modules()
        if isinstance(module, _library().QuantisedLinear)
    }
    dtype = next(p.dtype for p in encoder.parameters() if p.is_floating_point())
    for name, layer in layers.items():
        encoder.model.set_submodule(name, layer.full_precision(dtype))
    _mark(encoder, None)
    encoder.renew_fingerprint()


def is_quantised(names: Any) -> bool:
    """Tell whether tensors of these names are those of an encoder with 4-bit layers."""
    return any(".weight.quant_state.bitsandbytes__" in name for name in names)


def quantised_metadata(encoder: ImageEncoder, state: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the metadata that a file of an encoder's 4-bit weights needs."""
    return {BASE: encoder.fingerprint, TENSORS: _digest(state)}


def quantised_config_entry() -> dict[str, Any]:
    """Return the entry of ``config.json`` from which transformers knows 4-bit weights."""
    from transformers import BitsAndBytesConfig

    settings = {"bnb_4bit_quant_type": NF4, "bnb_4bit_use_double_quant": True}
    return BitsAndBytesConfig(load_in_4bit=True, **settings).to_dict()


def expect_quantised(
    encoder: ImageEncoder, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], source: str | Path
) -> dict[str, Tensor]:
    """Make an encoder on the meta device ready for 4-bit weights; return the tensors that it must get.

    Args:
        encoder: on the meta device; it gets the fingerprint of the base that was quantised.
        tensors: that the file holds, under the encoder's names.
        metadata: of the file.
        source: named in messages.

    Raises:
        ValueError: tensors that :func:`save_encoder` did not write, or that were changed afterwards.
    """
    if BASE not in metadata or metadata.get(TENSORS) != _digest(tensors):
        raise ValueError(
            f"{source}: expected 4-bit weights as save_encoder wrote them (SHA-256 {metadata.get(TENSORS)}), found "
            f"others ({_digest(tensors)}): quantise the weights in full precision by quantise={NF4!r}"
        )
    library, expected = _library(), dict(encoder.model.state_dict())
    for name, layer in _linear_layers(encoder.model).items():
        weights = library.quantised_tensors(layer, name)
        expected |= weights
        # Missing and misshapen tensors are the caller's to list.
        if all(key in tensors and tensors[key].shape == weights[key].shape for key in weights):
            try:
                library.check_numbers(layer, name, tensors)
            except ValueError as error:
                raise ValueError(f"{source}: {error}") from error
        packed = f"{name}.weight.{library.PACKED}"
        expected[packed] = tensors.get(packed, torch.empty(0))  # JSON, of any length
        encoder.model.set_submodule(name, library.QuantisedLinear(layer))
    _mark(encoder, NF4)
    encoder._fingerprint = metadata[BASE]
    return expected


def _linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """Return the plain linear layers by name; other classes derived from them are read by their owners directly."""
    return {name: module for name, module in model.named_modules() if type(module) is nn.Linear}


def _digest(tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(save(dict(sorted(tensors.items())))).hexdigest()


def _mark(encoder: ImageEncoder, kind: str | None) -> None:
    encoder.quantisation = kind
    # PEFT asks the model that it wraps; without this package that is the library's own.
    encoder.model.is_loaded_in_4bit = kind is not None  # type: ignore[assignment]


def _library() -> Any:
    """Import the layer when it is wanted: bitsandbytes is an extra, and takes seconds."""
    try:
        from monai_lora_sam.encoders import quantised_linear
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"quantise={NF4!r} needs {error.name}: pip install 'monai-lora-sam[qlora]'", name=error.name
        ) from error
    return quantised_linear
