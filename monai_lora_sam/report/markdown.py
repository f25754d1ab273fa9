"""Write tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, the first column to the left and the others to the right.

    Example:
        >>> print(markdown_table(["cell", "Dice"], [["a", "0.7"]]), end="")
        | cell | Dice |
        | --- | ---: |
        | a | 0.7 |
    """
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)]]
    lines += [[text.replace("|", "\\|") for text in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
