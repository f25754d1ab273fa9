"""Print the table of encoders: ``python -m monai_lora_sam.encoders``."""

from __future__ import annotations

import argparse

import torch

from monai_lora_sam.encoders.build import build_encoder
from monai_lora_sam.encoders.registry import ENCODERS


def encoder_table() -> str:
    """Return a Markdown table of the encoders, built on the meta device without weights."""
    lines = [
        "| encoder | family | parameters | blocks | size | sides are multiples of | strides | channels |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in ENCODERS.names():
        with torch.device("meta"):
            encoder = build_encoder(name)
        count = sum(parameter.numel() for parameter in encoder.parameters())
        cells = [
            f"`{name}`",
            encoder.family,
            f"{count / 1e6:.1f} M",
            str(len(encoder.blocks)),
            str(encoder.image_size),
            str(encoder.patch_size),
            ", ".join(f"{stride:g}" for stride in encoder.strides),
            ", ".join(map(str, encoder.channels)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    argparse.ArgumentParser(
        "python -m monai_lora_sam.encoders", description="Print the table of encoders."
    ).parse_args()
    print(encoder_table())
