"""Fingerprints of everything that stored features depend on, except the image."""

from __future__ import annotations

from importlib import metadata

from monai_lora_sam.adapters import tensors_fingerprint
from monai_lora_sam.networks.stage_network import StageNetwork


def feature_identity(network: StageNetwork) -> dict[str, str]:
    """Return fingerprints of everything that the input of a network's head depends on, except the image.

    They cover the encoder, each active adapter in its order, weights that were moved in the encoder, the heads of the
    stages that the network reads, and the precision.

    Example:
        >>> from monai_lora_sam.encoders import build_encoder
        >>> from monai_lora_sam.networks import build_segmenter
        >>> sorted(feature_identity(build_segmenter(build_encoder("tiny"), name="liver", strategy="frozen")))
        ['adapters of liver', 'encoder', 'mixed precision', 'monai-lora-sam', 'reads']
    """
    stages = list(network.reads.values()) or [network]
    stack = network.stack
    identity = {
        "monai-lora-sam": metadata.version("monai-lora-sam"),
        "reads": type(network).__name__ if network.reads else "pyramid",
        "encoder": stack.encoder.fingerprint,
        "mixed precision": ", ".join(str(stage.mixed_precision) for stage in stages),
        **network.read_settings,
    }
    if stack.encoder.quantisation is not None:
        identity["quantisation"] = stack.encoder.quantisation
    for name in stack.names:
        if stack.record(name).modules:  # acts whichever names are active
            identity[f"encoder moved by {name}"] = stack.fingerprint(name)
    for stage in stages:
        names = stage.adapters if network.reads else stage.read_adapters
        adapters = [f"{name} {stack.fingerprint(name)}" for name in names]
        identity[f"adapters of {stage.name}"] = ", ".join(adapters)
        if network.reads:
            identity[f"head of {stage.name}"] = tensors_fingerprint(stage.head.state_dict())
    return identity
