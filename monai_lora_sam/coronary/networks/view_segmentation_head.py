"""A segmentation head that knows the C-arm's view angles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from monai_lora_sam.coronary.networks.view_angle_encoder import ViewConditioning
from monai_lora_sam.networks import LEVEL_DEVIATION, AdaptedSegmenter, HeadEntry, SegmentationHead

#: Parts of the conditioning, which stand in a state dict beside the head's own, as in every stage on disk.
_PARTS = ("view_encoder.", "film.")


class ViewSegmentationHead(SegmentationHead):
    """A :class:`SegmentationHead` with :class:`ViewConditioning`: it takes ``view``, (B, 2) degrees or None.

    Example:
        >>> head = ViewSegmentationHead(channels=(32,), out_channels=1)
        >>> head([torch.rand(2, 32, 8, 8)], torch.rand(2, 3, 28, 28), view=torch.rand(2, 2)).shape
        torch.Size([2, 1, 28, 28])
    """

    head_type = "view_segmentation"

    def __init__(
        self,
        channels: Sequence[int],
        out_channels: int,
        width: int | None = None,
        level_deviation: float | None = LEVEL_DEVIATION,
    ) -> None:
        super().__init__(channels, out_channels, width, ViewConditioning, level_deviation)
        self.register_state_dict_post_hook(_to_stored_names)
        self.register_load_state_dict_pre_hook(_from_stored_names)


def _to_stored_names(module: Any, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    for part in _PARTS:
        inside = f"{prefix}conditioning.{part}"
        for name in [name for name in state if name.startswith(inside)]:
            state[prefix + name.removeprefix(f"{prefix}conditioning.")] = state.pop(name)


def _from_stored_names(module: Any, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    for part in _PARTS:
        for name in [name for name in state if name.startswith(prefix + part)]:
            state[f"{prefix}conditioning.{name.removeprefix(prefix)}"] = state.pop(name)


#: The entry of this head.
VIEW_SEGMENTATION = HeadEntry(
    ViewSegmentationHead, AdaptedSegmenter, old_card=lambda head: "out_channels" in head
)
