"""Build training steps on noise, whose time tells how long a training takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.losses import DiceCELoss

from monai_lora_sam.adaptation.prompted_training import PromptedTraining
from monai_lora_sam.adaptation.request import DEFAULT_ENCODER
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.losses import PromptedLoss
from monai_lora_sam.networks import PromptableSegmenter, StageNetwork
from monai_lora_sam.stages import new_stage

#: Takes a side in pixels (None for the encoder's own), images a step and a device; returns the side and the step.
StepBuilder = Callable[[int | None, int, torch.device], tuple[int, Callable[[], None]]]


def prompted_step(
    settings: Mapping[str, Any], side: int | None, batch: int, device: torch.device
) -> tuple[int, Callable[[], None]]:
    """Return the side, and a step that asks for an object in the middle, prompted as the bundle does by default.

    Args:
        settings: keys of the bundle.
        side, batch, device: see `StepBuilder`.
    """
    network = _network(settings, side, head="prompts", decoder="lora", pretrained=_pretrained(settings))
    assert isinstance(network, PromptableSegmenter)  # the head is one of prompts
    training = PromptedTraining(network).train().to(device)
    side = network.stack.encoder.image_size
    quarter = side // 4
    truth = torch.zeros(batch, 4, side, side, device=device)
    truth[..., quarter : 3 * quarter, quarter : 3 * quarter] = 1
    boxes = torch.zeros(batch, 4, 4, device=device)
    boxes[:, :2] = torch.tensor([quarter, quarter, 3 * quarter, 3 * quarter], device=device)
    points = torch.full((batch, 4, 2, 2), side / 2, device=device)
    labels = torch.full((batch, 4, 2), -1, device=device)
    labels[:, 2, :1] = labels[:, 3] = 1
    image = torch.rand(batch, 3, side, side, device=device)

    def step() -> None:
        answers = training(image=image, boxes=boxes, points=points, point_labels=labels, truth=truth)
        PromptedLoss()(*answers).backward()
        training.zero_grad()

    return side, step


def automatic_step(
    settings: Mapping[str, Any], maps: int, side: int | None, batch: int, device: torch.device
) -> tuple[int, Callable[[], None]]:
    """Return the side, and a step of a head with so many maps that needs no prompt.

    Args:
        settings: keys of the bundle.
        maps: background included.
        side, batch, device: see `StepBuilder`.
    """
    network = _network(settings, side, head="segmentation", out_channels=maps).train().to(device)
    side = network.stack.encoder.image_size
    loss = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False)
    image = torch.rand(batch, 3, side, side, device=device)
    label = torch.randint(maps, (batch, 1, side, side), device=device)

    def step() -> None:
        loss(network(image), label).backward()
        network.zero_grad()

    return side, step


def _network(settings: Mapping[str, Any], side: int | None, **arguments: Any) -> StageNetwork:
    name, quantise = settings.get("encoder_name", DEFAULT_ENCODER), settings.get("quantise")
    return new_stage(
        build_encoder(name, _pretrained(settings), side, quantise=quantise),
        name="measured",
        lora={"r": 8},
        mixed_precision=settings.get("mixed_precision", True),
        **arguments,
    )


def _pretrained(settings: Mapping[str, Any]) -> Any:
    return settings.get("pretrained", True)
