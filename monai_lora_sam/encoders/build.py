"""Build an image encoder by name."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.installed_file import DownloadedFile, InstalledFile
from monai_lora_sam.encoders.pretrained import load_encoder
from monai_lora_sam.encoders.quantise import quantise_encoder
from monai_lora_sam.encoders.registry import ENCODERS, EncoderEntry


def build_encoder(
    name: str,
    pretrained: bool | str | Path | None = None,
    image_size: int | None = None,
    dtype: torch.dtype = torch.float32,
    gradient_checkpointing: bool | str = False,
    quantise: str | None = None,
) -> ImageEncoder:
    """Build an image encoder by name.

    Args:
        name: ``"tiny"``, ``"medsam_lite"``, ``"mini"``, ``"sam3"``, ``"sam_vit_b"``, ..., or that of an encoder
            that another package offers.
        pretrained: ``None`` or ``False`` for random weights (drawn from torch's global generator), ``True``
            for the name's own weights, ``"imagenet"`` for those of its backbone before distillation, or a Hugging Face
            id, a local folder, a ``.safetensors`` or ``.pth`` file, see :func:`load_encoder`.
        image_size: side in pixels that the encoder is meant for; by default that of the weights.
        dtype: type of the parameters. The fingerprint is taken in float32 before the cast.
        gradient_checkpointing: see :meth:`ImageEncoder.set_gradient_checkpointing`.
        quantise: ``"nf4"`` for linear layers in 4 bits, which hold an eighth of the bytes; needs bitsandbytes. Weights
            that were saved in 4 bits stay so whatever it says.

    Returns:
        The encoder in evaluation mode.

    Raises:
        ValueError: unknown name, size that does not fit the patch, weights that do not fit the encoder, or no linear
            layers to quantise.
        FileNotFoundError: weights that do not exist.
        ModuleNotFoundError: bitsandbytes is not installed.

    Example:
        >>> build_encoder("tiny", image_size=252).image_size
        252
    """
    entry: EncoderEntry = ENCODERS.load(name)
    if isinstance(pretrained, str) and pretrained.lower() in ("true", "false", "none", "null"):
        raise ValueError(
            f"pretrained: expected True, False or where the weights are, found the text {pretrained!r} "
            "(on a command line, write True or False)"
        )
    if pretrained is None or pretrained is False:
        encoder = entry.build(name, image_size)
    else:
        encoder = load_encoder(name, weights_source(name, pretrained), image_size)
    encoder.fingerprint  # noqa: B018  (taken now, before the cast and before any adapter)
    if quantise not in (None, encoder.quantisation):
        quantise_encoder(encoder, quantise)
    encoder.set_gradient_checkpointing(gradient_checkpointing)
    return encoder.to(dtype).eval()


def weights_source(name: str, pretrained: bool | str | Path = True) -> str | Path:
    """Return where the weights of a named encoder are: its own for True, else the given place.

    Raises:
        FileNotFoundError: they come with a package that is not installed.
        ValueError: an unknown name, an installed file with other bytes, or ``"imagenet"`` for an encoder without
            such weights.
    """
    entry: EncoderEntry = ENCODERS.load(name)
    source = entry.weights if pretrained is True else pretrained
    if source == "imagenet":
        if entry.imagenet is None:
            known = ", ".join(
                other for other in ENCODERS.names() if ENCODERS.load(other).imagenet is not None
            )
            raise ValueError(
                f"{name}: expected own weights or a file of them; those of ImageNet are known for {known}"
            )
        source = entry.imagenet
    return source.locate() if isinstance(source, DownloadedFile | InstalledFile) else source  # type: ignore[return-value]
