"""Print the tables of the documentation.

``python -m monai_lora_sam.memory [ENCODER[:SIDE] ...]``: which GPU trains what.
``python -m monai_lora_sam.memory savings [ENCODER[:SIDE] ...]``: ways to train in less memory.
"""

from __future__ import annotations

import sys

from monai_lora_sam.memory import as_markdown, compare_savings, recommend, savings_as_markdown

ENCODERS = ("sam3:1008", "sam_vit_b:1024", "medsam_lite:256")
#: Head of the bundle that trains stage 1.
HEAD = "view_segmentation"


def main(arguments: list[str]) -> None:
    """Print a table for encoders such as ``sam3:1008``."""
    savings = arguments[:1] == ["savings"]
    rows = []
    for argument in arguments[savings:] or (ENCODERS[:1] if savings else ENCODERS):
        name, _, side = argument.partition(":")
        size = int(side) if side else None
        if savings:
            print(savings_as_markdown(compare_savings(name, size, HEAD)))
        else:
            rows += recommend(name, size, head=HEAD)
    if rows:
        print(as_markdown(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
