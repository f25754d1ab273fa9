"""All that stored features depend on, the image apart."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from ..adapters.store import tensors_fingerprint
from .adapted_segmenter import AdaptedSegmenter

if TYPE_CHECKING:
    from .lesion_detector import LesionDetector


def feature_identity(network: AdaptedSegmenter | LesionDetector) -> dict[str, str]:
    """Return the fingerprints that what lies below a network's head is known by.

    Of the encoder; of each adapter that is summed, in its order; of what else was moved in the encoder; for a
    :class:`LesionDetector` of the heads of the stages below, whose outputs it reads; and how they run.

    Example:
        >>> from monai_lora_sam.encoders import build_encoder
        >>> from monai_lora_sam.networks import build_segmenter
        >>> sorted(feature_identity(build_segmenter(build_encoder("tiny"), strategy="frozen")))
        ['adapters of vessels', 'encoder', 'mixed precision', 'monai-lora-sam', 'reads']
    """
    single = isinstance(network, AdaptedSegmenter)
    below = [network] if isinstance(network, AdaptedSegmenter) else [network.vessels, network.segments]
    stack = network.stack
    identity = {
        "monai-lora-sam": metadata.version("monai-lora-sam"),
        "reads": "pyramid" if single else type(network).__name__,
        "encoder": stack.encoder.fingerprint,
        "mixed precision": ", ".join(str(segmenter.mixed_precision) for segmenter in below),
    }
    for name in stack.names:
        if stack.skill(name).modules:  # holds whatever is active
            identity[f"encoder moved by {name}"] = stack.fingerprint(name)
    for segmenter in below:
        adapters = [f"{name} {stack.fingerprint(name)}" for name in segmenter.adapters]
        identity[f"adapters of {segmenter.name}"] = ", ".join(adapters)
        if not single:
            identity[f"head of {segmenter.name}"] = tensors_fingerprint(segmenter.head.state_dict())
    return identity
