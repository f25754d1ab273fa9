"""Compare ways to train one encoder in less memory, as a table for the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monai_lora_sam.memory.advice import largest_batch
from monai_lora_sam.memory.configuration import StepConfiguration
from monai_lora_sam.memory.prediction import StepMemory

#: Ways of the table: heading and settings; speeds are relative to `full`.
SAVINGS: dict[str, dict[str, Any]] = {
    "LoRA, rank 16": {"base": "bfloat16"},
    "LoRA, rank 8, 4-bit base": {"base": "bfloat16", "quantise": "nf4", "rank": 8},
    "LoRA, rank 4, 4-bit base": {"base": "bfloat16", "quantise": "nf4", "rank": 4},
    "LoRA in the last 8 blocks": {"base": "bfloat16", "layers": 8},
    "the same, features before them cached": {"base": "bfloat16", "layers": 8, "feature_cache": True},
    "frozen": {"base": "bfloat16", "strategy": "frozen"},
    "frozen, 4-bit base": {"base": "bfloat16", "quantise": "nf4", "strategy": "frozen"},
    "frozen, head of 64 channels": {"base": "bfloat16", "strategy": "frozen", "head_width": 64},
    "frozen, features cached": {"base": "bfloat16", "strategy": "frozen", "feature_cache": True},
    "full": {"strategy": "full"},
}
#: GiB of the cards whose largest batches the table gives.
SMALL, LARGE = 8.0, 24.0


@dataclass(frozen=True)
class Saving:
    """Hold what one way of training takes.

    Attributes:
        way: a key of :data:`SAVINGS`, perhaps with checkpointing.
        peak_gib: at one image.
        batches: the largest batch on a card of 8 and of 24 GB; 0 for none.
        speed: images a second by floating point operations, relative to ``full`` without checkpointing.
    """

    way: str
    peak_gib: float
    batches: tuple[int, int]
    speed: float


def compare_savings(encoder: str, image_size: int | None, head: str) -> list[Saving]:
    """Return every way, without and with gradient checkpointing where the encoder runs in training."""
    memories = {}
    for way, settings in SAVINGS.items():
        configuration = StepConfiguration(encoder, image_size, head=head, **settings)
        memories[way] = StepMemory(configuration)
        if settings.get("strategy") != "frozen":
            checkpointed = StepConfiguration(encoder, image_size, head=head, checkpointing=True, **settings)
            memories[f"{way}, checkpointing"] = StepMemory(checkpointed)
    full = memories["full"].history.flops
    return [
        Saving(
            way,
            memory.predict(1).peak_gib,
            (largest_batch(memory, SMALL), largest_batch(memory, LARGE)),
            full / memory.history.flops,
        )
        for way, memory in memories.items()
    ]


def savings_as_markdown(rows: list[Saving]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        f"| training | peak GiB at batch 1 | batch in {SMALL:g} GB | in {LARGE:g} GB | speed |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        small, large = (str(batch or "–") for batch in row.batches)
        lines.append(f"| {row.way} | {row.peak_gib:.2f} | {small} | {large} | {row.speed:.2f} |")
    return "\n".join(lines)
