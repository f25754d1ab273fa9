"""``monai-lora-sam syntax-score``: the SYNTAX score of lesions that a reader has confirmed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli import check_json_file, console_beside, one_line_errors, write_json

if TYPE_CHECKING:
    from monai_lora_sam.coronary.qca import ConfirmedScore

app = typer.Typer()


@app.command(
    "syntax-score",
    epilog="Example:\n\nmonai-lora-sam syntax-score lesions.json --json score.json\n\n"
    "A file of one patient, both coronary arteries:\n\n"
    '{"confirmed": true, "dominance": "right", "lesions": [{"segments": ["6", "7"], '
    '"percent_diameter_stenosis": 72, "rvd_mm": 3.1, "heavy_calcification": true}]}',
)
def syntax_score_command(
    lesions: Annotated[
        Path, typer.Argument(help="JSON with confirmed, dominance and lesions.", show_default=False)
    ],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write points and total; - for standard output."),
    ] = None,
) -> None:
    """Add up the SYNTAX score of lesions whose segments and figures a reader has confirmed."""
    with one_line_errors():
        from monai_lora_sam.coronary.qca import score_confirmed

        check_json_file(json_file)
        found = score_confirmed(lesions)
        if json_file is not None:
            write_json(found.to_json(), json_file)
    console_beside(json_file).print(_table(found))


def _table(found: ConfirmedScore) -> Table:
    score = found.score
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True, show_footer=True)
    table.add_column("lesion", "sum", justify="right")
    table.add_column("points of", f"SYNTAX score, {score.dominance.value} dominance")
    table.add_column("points", f"{score.total:g}", justify="right")
    for row in found.rows:
        first = str(row["lesion"])
        if "not_counted" in row:
            segments = ", ".join(row["segments"])
            table.add_row(first, f"segment {segments}: not counted, {row['not_counted']}", "0")
            continue
        for segment, points in row["segments"].items():
            table.add_row(first, f"segment {segment}", f"{points:g}")
            first = ""
        for name, points in row["adverse"].items():
            table.add_row("", name, f"{points:g}")
    if score.diffuse_points:
        table.add_row("", "diffuse disease", f"{score.diffuse_points:g}")
    return table
