"""The parts of a network that are exported, as plain modules with merged adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from monai_lora_sam.networks import AdaptedSegmenter, PromptableSegmenter, StageNetwork, TextPromptedSegmenter

#: Axes that keep their name are dynamic; rows and columns are so where the encoder allows.
BATCH, ROWS, COLUMNS, PROMPTS, POINTS = "batch", "rows", "columns", "prompts", "points"
SIZE = (ROWS, COLUMNS)


@dataclass(frozen=True, eq=False)
class ExportPart:
    """Hold a module and what its export needs to know.

    Attributes:
        name: of its file.
        module: takes and returns tensors alone.
        example: inputs, with which it is traced.
        inputs: name of each input → names of its axes; "" for one of fixed length.
        outputs: names of the outputs.
        multiple: rows and columns are multiples of it.
    """

    name: str
    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: Mapping[str, tuple[str, ...]]
    outputs: tuple[str, ...]
    multiple: int = 1

    @property
    def sized(self) -> bool:
        """Whether an input has rows and columns of its own choice."""
        return any(ROWS in axes for axes in self.inputs.values())


class MergedSegmenter(nn.Module):
    """An encoder with merged adapters and a head: normalised images (B, 3, H, W) to logits (B, C, H, W)."""

    def __init__(self, network: AdaptedSegmenter) -> None:
        super().__init__()
        self.encoder = network.stack.merge(*network.adapters)
        self.head = network.head

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(image), image)
        return logits.float()


class MergedEncoder(nn.Module):
    """An encoder with merged adapters: normalised square images to the embedding that prompts are asked of."""

    def __init__(self, network: PromptableSegmenter) -> None:
        super().__init__()
        self.encoder = network.stack.merge(*network.adapters)

    def forward(self, image: Tensor) -> Tensor:
        embedding: Tensor = self.encoder(image)[-1]
        return embedding.float()


class PromptDecoder(nn.Module):
    """SAM's prompt encoder and mask decoder for one kind of prompt, in pixels of the encoder's square.

    Boxes (B, N, 4) give one mask each; points (B, N, K, 2) with labels (B, N, K) three, of which the one with the
    highest predicted intersection over union is meant. Returns logits (B, N, M, 4h, 4w) and (B, N, M).
    """

    def __init__(self, network: PromptableSegmenter, kind: str) -> None:
        super().__init__()
        self.head = network.head
        self.side = network.stack.encoder.image_size
        self.kind = kind

    def forward(self, embedding: Tensor, *prompt: Tensor) -> tuple[Tensor, Tensor]:
        names = ("boxes",) if self.kind == "boxes" else ("points", "point_labels")
        masks, iou = self.head(
            embedding, self.side, **dict(zip(names, prompt, strict=True)), multimask=self.kind == "points"
        )
        return masks, iou


def export_parts(network: StageNetwork) -> list[ExportPart]:
    """Return the parts of a network: one model, or an encoder and a decoder for each kind of prompt.

    Args:
        network: in evaluation mode.

    Raises:
        ValueError: a network of another kind.

    Example:
        >>> [part.name for part in export_parts(load_stage("models/best"))]  # doctest: +SKIP
        ['model']
    """
    encoder = network.stack.encoder
    side, patch = encoder.image_size, encoder.patch_size
    image = torch.rand(2, 3, side, side + patch)
    axes = (BATCH, "", *SIZE)
    if isinstance(network, AdaptedSegmenter):
        merged = MergedSegmenter(network).float().eval()
        return [ExportPart("model", merged, (image,), {"image": axes}, ("logits",), patch)]
    if not isinstance(network, PromptableSegmenter) or isinstance(network, TextPromptedSegmenter):
        raise ValueError(
            f"expected a stage that gives masks, by itself or by boxes and points, found a head of type "
            f"{getattr(network.head, 'head_type', type(network.head).__name__)!r}"
        )
    square = image[..., :side]  # images are scaled and padded to the encoder's square
    whole = MergedEncoder(network).float().eval()
    with torch.no_grad():
        embedding = whole(square)
    parts = [ExportPart("encoder", whole, (square,), {"image": (BATCH, "", "", "")}, ("embedding",))]
    prompts: dict[str, dict[str, tuple[Tensor, tuple[str, ...]]]] = {
        "boxes": {
            "boxes": (torch.tensor([1.0, 2.0, side / 2, side / 3]).expand(2, 3, 4), (BATCH, PROMPTS, ""))
        },
        "points": {
            "points": (torch.full((2, 3, 4, 2), side / 3), (BATCH, PROMPTS, POINTS, "")),
            "point_labels": (torch.ones(2, 3, 4, dtype=torch.long), (BATCH, PROMPTS, POINTS)),
        },
    }
    for kind in (kind for kind in prompts if kind in network.head.prompts):
        given: Any = prompts[kind]
        parts.append(
            ExportPart(
                f"decoder_{kind}",
                PromptDecoder(network, kind).float().eval(),
                (embedding, *(tensor for tensor, _ in given.values())),
                {"embedding": (BATCH, "", "", ""), **{name: names for name, (_, names) in given.items()}},
                ("masks", "iou"),
            )
        )
    return parts
