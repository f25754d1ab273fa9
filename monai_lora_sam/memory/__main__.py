"""Print the recommendation table of the documentation: ``python -m monai_lora_sam.memory [ENCODER[:SIDE] ...]``."""

from __future__ import annotations

import sys

from monai_lora_sam.memory import as_markdown, recommend

ENCODERS = ("sam3:1008", "sam_vit_b:1024", "medsam_lite:256")
#: Head of the bundle that trains stage 1.
HEAD = "view_segmentation"


def main(arguments: list[str]) -> None:
    """Print the table for encoders such as ``sam3:1008``."""
    rows = []
    for argument in arguments or ENCODERS:
        name, _, side = argument.partition(":")
        rows += recommend(name, int(side) if side else None, head=HEAD)
    print(as_markdown(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
