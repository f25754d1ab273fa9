"""Weights of a promptable network on disk: the encoder's own, and where those of the mask decoder are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from monai_lora_sam.adapters import read_card, tensors_fingerprint, write_folder
from monai_lora_sam.encoders import ENCODERS, Checkpoint, EncoderEntry, open_checkpoint, weights_source
from monai_lora_sam.files import atomic_folder, read_json

CARD = "card.json"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
#: Prefix of the encoder's tensors where a mask decoder is in the same file, as in SAM of transformers.
ENCODER_PREFIX = "vision_encoder."
#: Place of weights in the folder of the card itself.
HERE = "here"


class PromptWeights(NamedTuple):
    """Hold where prompt encoder and mask decoder of an encoder are.

    Attributes:
        checkpoint: that holds them.
        prompts: kinds of prompts that they were trained with.
        fingerprint: that they must have; None where any will do.
    """

    checkpoint: Checkpoint
    prompts: tuple[str, ...]
    fingerprint: str | None


class DecoderSource(NamedTuple):
    """Name the prompt encoder and the mask decoder of a network whose encoder was distilled.

    Attributes:
        encoder: name of the encoder that they were trained with.
        weights: None for that encoder's own weights; ``here`` for the folder of the network itself; else a file, a
            folder or a Hugging Face id.
    """

    encoder: str
    weights: str | None = None


def open_prompt_weights(name: str, pretrained: bool | str | Path) -> PromptWeights:
    """Find prompt encoder and mask decoder of a named encoder.

    They are in the checkpoint of the encoder itself, unless the card beside it names another encoder whose decoder it
    shares, as that of a distilled student does.

    Args:
        name: of the encoder.
        pretrained: True for its own weights, or where others are.

    Raises:
        FileNotFoundError: the weights, or those that a card names, are missing.
        ValueError: a card that is damaged or names no known encoder.
    """
    source = weights_source(name, pretrained)
    entry: EncoderEntry = ENCODERS.load(name)
    card = Path(source) / CARD
    if not card.is_file() or "decoder" not in read_json(
        card
    ):  # other cards, such as a hub's, say nothing of it
        return PromptWeights(open_checkpoint(source), entry.prompts, None)
    decoder = read_card(Path(source))["decoder"]
    texts = isinstance(decoder, dict) and all(
        isinstance(decoder.get(key), str) for key in ("encoder", "fingerprint")
    )
    if not texts or not isinstance(decoder.get("weights"), str | None):
        raise ValueError(
            f"{card}: decoder: expected an encoder, its weights and a fingerprint, found {decoder!r:.200}"
        )
    other: EncoderEntry = ENCODERS.load(decoder["encoder"])
    place = Path(source) if decoder["weights"] == HERE else decoder["weights"]
    try:
        found = open_checkpoint(weights_source(decoder["encoder"], True if place is None else place))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{card}: the mask decoder of {decoder['encoder']!r}: {error}") from error
    return PromptWeights(found, other.prompts, decoder["fingerprint"])


def write_promptable(
    network: Any, folder: str | Path, decoder: DecoderSource | None, half: bool, card: Mapping[str, Any]
) -> Path:
    """Write encoder and card, and prompt encoder and mask decoder where they are not another encoder's.

    Args:
        network: a ``PromptableSegmenter`` without adapters.
        folder: replaced as a whole.
        decoder: whose prompt encoder and mask decoder the network has; None for its own, which go into the folder.
        half: write matrices and convolutions in float16; vectors (biases, normalisation) stay in float32.
        card: further entries of the card.

    Raises:
        ValueError: adapters are on the encoder, its weights are in 4 bits, or a weight is not finite or beyond
            float16's range.
    """
    encoder = network.stack.encoder
    if encoder.quantisation is not None:
        raise ValueError(
            f"{encoder.name}: expected weights in full precision, found {encoder.quantisation}: save_encoder takes them"
        )
    weights = encoder.model.state_dict()
    state = dict(weights)
    wrapped = [name for name in state if ".base_layer." in name or ".lora_" in name]
    if wrapped:
        raise ValueError(
            f"{encoder.name}: expected a plain encoder, found adapters on it ({wrapped[0]}, ...)"
        )
    decoder = decoder or DecoderSource(encoder.name, HERE)
    own = network.head.base_tensors()
    if decoder.weights == HERE:
        own = {name: _half(name, tensor) if half else tensor for name, tensor in own.items()}
        state = {ENCODER_PREFIX + name: tensor for name, tensor in state.items()} | own
    if half:
        state = {name: _half(name, tensor) for name, tensor in state.items()}
    written = copy.deepcopy(encoder)
    written.model.load_state_dict(
        {name: state.get(name, state.get(ENCODER_PREFIX + name)) for name in weights}
    )
    content = {
        "name": "student",
        "version": "1",
        **card,
        "encoder": {
            "name": encoder.name,
            "family": encoder.family,
            "image_size": encoder.image_size,
            "fingerprint": written.renew_fingerprint(),
        },
        "input_size": encoder.image_size,
        "decoder": {
            **decoder._asdict(),
            "fingerprint": tensors_fingerprint({name: tensor.float() for name, tensor in own.items()}),
        },
        "fingerprint": tensors_fingerprint(state),
        "parents": [],
        "strategy": "frozen",
        "modules": [],
    }
    with atomic_folder(folder) as temporary:
        config = getattr(encoder.model, "config", None)
        if config is not None:
            (temporary / CONFIG).write_text(config.to_json_string(), encoding="utf-8")
        write_folder(temporary, content, {WEIGHTS: state}, None)
    return Path(folder)


def _half(name: str, tensor: Tensor) -> Tensor:
    if tensor.ndim < 2 or not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not half.isfinite().all():
        raise ValueError(
            f"{name}: expected weights within float16's range, found {tensor.abs().max().item():g}"
        )
    return half
