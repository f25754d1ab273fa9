"""Find and build heads by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from monai_lora_sam.encoders import build_checked
from monai_lora_sam.networks.stage_network import StageNetwork
from monai_lora_sam.registry import Registry

HEADS = Registry("monai_lora_sam.heads", "head")


@dataclass(frozen=True)
class HeadEntry:
    """Name the class of a stage's head and the network that it belongs to.

    A package offers an entry under the group ``monai_lora_sam.heads``; its name there is the head's type.

    Attributes:
        head: the class. ``head_type`` is its name, ``config`` the arguments that build it again, as JSON holds them.
        network: the class that joins encoder, adapters and head.
        old_card: recognises this head by the entry ``head`` of a card that was written before cards named the type;
            None for a head that has no such cards.
    """

    head: type[nn.Module]
    network: type[StageNetwork]
    old_card: Callable[[Mapping[str, Any]], bool] | None = None


def head_card(head: nn.Module) -> dict[str, Any]:
    """Return the entry ``head`` of a stage's card: its type and its arguments."""
    return {"type": head.head_type, **head.config}  # type: ignore[dict-item]


def build_head(card: Mapping[str, Any]) -> nn.Module:
    """Build the head of a stage's card, with fresh weights.

    Raises:
        ValueError: an unknown type, or arguments that are not the head's.

    Example:
        >>> build_head({"type": "segmentation", "channels": [8], "out_channels": 1, "width": 8}).width
        8
    """
    arguments = {key: value for key, value in card.items() if key != "type"}
    entry: HeadEntry = HEADS.load(card["type"])
    return build_checked(lambda: entry.head(**arguments), arguments, f"head {card['type']!r}")
