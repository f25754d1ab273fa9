"""Predict the size of adapters without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from monai_lora_sam.adapters.compatibility import lora_shapes
from monai_lora_sam.adapters.presets import lora_config
from monai_lora_sam.encoders import ENCODERS, build_encoder


@dataclass(frozen=True)
class BudgetRow:
    """Size of one adapter.

    Attributes:
        encoder: name of the encoder.
        targets: preset.
        r: rank.
        parameters: number of parameters, r · (inputs + outputs) summed over the adapted layers.
        bytes: on disk and in memory; adapters are float32 whatever the encoder's type.
    """

    encoder: str
    targets: str
    r: int
    parameters: int
    bytes: int


def budget_table(
    encoders: Sequence[str] = ("medsam_lite", "sam3", "sam_vit_b"), ranks: Sequence[int] = (4, 8, 16, 32, 64)
) -> list[BudgetRow]:
    """Return the size of an adapter on every block for each encoder, preset and rank.

    The encoders are built on the meta device: no weights are needed and no memory is taken.

    Example:
        >>> budget_table(["tiny"], ranks=[4])[0]
        BudgetRow(encoder='tiny', targets='qv', r=4, parameters=13824, bytes=55296)
    """
    rows = []
    for name in encoders:
        with torch.device("meta"):
            encoder = build_encoder(name)
        for targets in ENCODERS.load(name).targets:
            for r in ranks:
                shapes = lora_shapes(encoder, lora_config(encoder, r=r, targets=targets))
                parameters = sum(shape.numel() for shape in shapes.values())
                rows.append(BudgetRow(name, targets, r, parameters, 4 * parameters))
    return rows


def format_budget(rows: Sequence[BudgetRow]) -> str:
    """Return the rows as a Markdown table, ranks across; bytes in MB of 10⁶ bytes."""
    ranks = sorted({row.r for row in rows})
    cells = {(row.encoder, row.targets, row.r): row for row in rows}
    lines = [
        "| encoder | targets | " + " | ".join(f"r = {r}" for r in ranks) + " |",
        "|---|---|" + "---:|" * len(ranks),
    ]
    for encoder, targets in dict.fromkeys((row.encoder, row.targets) for row in rows):
        sizes = [cells[encoder, targets, r] for r in ranks]
        texts = [f"{row.parameters / 1e6:.2f} M, {row.bytes / 1e6:.1f} MB" for row in sizes]
        lines.append(f"| {encoder} | `{targets}` | " + " | ".join(texts) + " |")
    return "\n".join(lines)
