"""Compute which training fits which GPU, as a table for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monai_lora_sam.memory.advice import largest_batch
from monai_lora_sam.memory.cards import CARDS
from monai_lora_sam.memory.configuration import StepConfiguration
from monai_lora_sam.memory.prediction import StepMemory

#: Trainings of the table: heading and settings, the fastest first.
WAYS = {
    "LoRA": {"base": "bfloat16"},
    "LoRA, checkpointing": {"base": "bfloat16", "checkpointing": True},
    "frozen": {"base": "bfloat16", "strategy": "frozen"},
    "full": {"strategy": "full"},
    "full, checkpointing": {"strategy": "full", "checkpointing": True},
}
#: Ways from which the recommendation is taken: the first that fits at all.
RECOMMENDED = ("LoRA", "LoRA, checkpointing", "frozen")


@dataclass(frozen=True)
class Recommendation:
    """Hold the largest batches of an encoder on a GPU.

    Attributes:
        encoder, image_size: by name, side in pixels.
        gpu_gib: size of the GPU.
        batches: the largest batch of each way; 0 where none fits.
        way: the recommended one, None where none fits.
        peak_gib: of the recommended way at its largest batch.
    """

    encoder: str
    image_size: int
    gpu_gib: float
    batches: dict[str, int]
    way: str | None
    peak_gib: float | None


def recommend(
    encoder: str, image_size: int | None = None, cards: Sequence[float] = CARDS, head: str = "segmentation"
) -> list[Recommendation]:
    """Return the recommendation for every card."""
    memories = {
        way: StepMemory(StepConfiguration(encoder, image_size, head=head, **settings))  # type: ignore[arg-type]
        for way, settings in WAYS.items()
    }
    rows = []
    for card in cards:
        batches = {way: largest_batch(memory, card) for way, memory in memories.items()}
        way = next((way for way in RECOMMENDED if batches[way]), None)
        peak = memories[way].predict(batches[way]).peak_gib if way else None
        side = next(iter(memories.values())).image_size
        rows.append(Recommendation(encoder, side, card, batches, way, peak))
    return rows


def as_markdown(rows: Sequence[Recommendation]) -> str:
    """Return recommendations as a Markdown table; the recommended batch is bold."""
    lines = [
        "| encoder, side | GPU | " + " | ".join(WAYS) + " | peak GiB |",
        "|---|---|" + "---:|" * (len(WAYS) + 1),
    ]
    for row in rows:
        cells = [
            f"**{batch}**" if way == row.way else str(batch or "–") for way, batch in row.batches.items()
        ]
        peak = "–" if row.peak_gib is None else f"{row.peak_gib:.1f}"
        lines.append(
            f"| {row.encoder}, {row.image_size} | {row.gpu_gib:g} GB | {' | '.join(cells)} | {peak} |"
        )
    return "\n".join(lines)
