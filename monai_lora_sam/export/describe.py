"""Describe, for a program without this package, how images are prepared and outputs read."""

from __future__ import annotations

from typing import Any

from monai_lora_sam import __version__
from monai_lora_sam.adapters import SavedAdapter
from monai_lora_sam.networks import AdaptedSegmenter, StageNetwork

FORM = "export/1"
#: Key of the description in the metadata of a model.
METADATA_KEY = "monai_lora_sam"


def describe(network: StageNetwork, saved: SavedAdapter) -> dict[str, Any]:
    """Return origin, preprocessing and postprocessing as JSON holds them; the steps are in their order.

    Args:
        network: that is exported.
        saved: the stage that it was loaded from.
    """
    encoder, card = network.stack.encoder, saved.card
    side = encoder.image_size
    scale = {"step": "scale", "longest_side": side, "mode": "bilinear", "smooth_when_shrinking": True}
    pad = {"step": "pad", "side": side, "place": "right and below", "value": 0.0}
    own_range = [{"step": "own_range", "minimum": 0.0, "maximum": 1.0}] if encoder.own_range else []
    normalise = {"step": "normalise", "mean": list(encoder.pixel_mean), "std": list(encoder.pixel_std)}
    intensities = {"step": "intensities", "to": [0.0, 1.0], "channels": "RGB, grey three times"}
    names = list(card.get("class_names", []))
    if isinstance(network, AdaptedSegmenter):
        single = network.head.out_channels == 1
        before: list[dict[str, Any]] = [intensities, scale, pad, *own_range, normalise]
        after: list[dict[str, Any]] = [
            {"step": "crop", "to": "the scaled image, without padding"},
            {"step": "sigmoid"} if single else {"step": "softmax", "axis": 1},
            {"step": "scale", "to": "the image", "mode": "bilinear"},
            {"step": "threshold", "above": 0.5} if single else {"step": "argmax", "axis": 1, "background": 0},
        ]
    else:
        # Padded last, so that what is padded is 0 after normalisation.
        before = [intensities, scale, *own_range, normalise, pad]
        after = [
            {"step": "choose", "mask": "of the highest iou"},
            {"step": "scale", "to_side": side, "mode": "bilinear"},
            {"step": "crop", "to": "the scaled image, without padding"},
            {"step": "scale", "to": "the image", "mode": "bilinear"},
            {"step": "threshold", "above": 0.0},
        ]
    return {
        "form": FORM,
        "version": __version__,
        "stage": {"name": card["name"], "digest": card["digest"], "task": card.get("task", "")},
        "modality": card.get("modality", ""),
        "class_names": names,
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "side": side,
        "preprocessing": before,
        "postprocessing": after,
        "prompts": "pixels of the padded square: those of the image times the scale of the longest side",
        "intended_use": "Research only. Not a medical device and not for clinical decisions.",
    }
