"""``monai-lora-sam qca``: measure the stenoses of a vessel mask by itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli.console import console, one_line_errors


def qca(
    mask: Annotated[
        Path, typer.Argument(help="Vessel mask, 0/1 or 0/255: PNG, TIFF, NIfTI or DICOM.", show_default=False)
    ],
    spacing: Annotated[
        float | None, typer.Option(help="Millimetres per pixel at the patient; without it all is in pixels.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the lesions to this file, as a list.")
    ] = None,
) -> None:
    """Measure the stenoses in a vessel mask: MLD, reference diameter, %DS, length."""
    with one_line_errors():
        from monai_lora_sam.qca import measure
        from monai_lora_sam.transforms import read_label

        if spacing is not None and not 0 < spacing < float("inf"):
            raise ValueError(f"--spacing: expected millimetres per pixel above 0, found {spacing}")
        result = measure(read_label(mask, classes=2) > 0, pixel_spacing_mm=spacing)
        lesions = result.to_json()["lesions"]
        if json_file is not None:
            json_file.parent.mkdir(parents=True, exist_ok=True)
            temporary = json_file.with_name(f".{os.getpid()}.{json_file.name}")
            temporary.write_text(json.dumps(lesions, indent=1, allow_nan=False), encoding="utf-8")
            os.replace(temporary, json_file)
    unit = "px" if spacing is None else "mm"
    if not lesions:
        console.print(f"{mask.name}: {len(result.profiles)} vessels, no stenosis.", soft_wrap=True)
        return
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in ("lesion", "%DS", f"MLD ({unit})", f"RVD ({unit})", f"length ({unit})", "MLD at (x, y)"):
        table.add_column(column, justify="right")
    for lesion in lesions:
        x, y = lesion["mld_xy"]
        table.add_row(
            str(lesion["id"]),
            f"{lesion['percent_diameter_stenosis']:.1f}",
            f"{lesion[f'mld_{unit}']:.2f}",
            f"{lesion[f'rvd_{unit}']:.2f}",
            f"{lesion[f'length_{unit}']:.1f}",
            f"{x:.1f}, {y:.1f}",
        )
    console.print(table)


EPILOG = "Examples:\n\nmonai-lora-sam qca mask.png\n\nmonai-lora-sam qca mask.png --spacing 0.3 --json lesions.json"
