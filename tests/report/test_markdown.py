"""Tables in Markdown."""

from __future__ import annotations

from monai_lora_sam.report import markdown_table


def test_bars_in_cells_are_escaped():
    text = markdown_table(["cell", "Dice"], [["a | b", "0.5000"]])
    assert text.splitlines() == ["| cell | Dice |", "| --- | ---: |", "| a \\| b | 0.5000 |"]
