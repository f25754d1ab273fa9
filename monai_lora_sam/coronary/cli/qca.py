"""``monai-lora-sam qca``: measure the stenoses of a vessel mask by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from monai_lora_sam.cli import check_json_file, console_beside, one_line_errors, write_json

EPILOG = (
    "Examples:\n\nmonai-lora-sam qca mask.png\n\nmonai-lora-sam qca mask.png --spacing 0.3 --json lesions.json\n\n"
    "monai-lora-sam qca mask.png --image frame.png --catheter-french 6 --catheter 120 40 150 95"
)

app = typer.Typer()


@app.command(epilog=EPILOG)
def qca(
    mask: Annotated[
        Path, typer.Argument(help="Vessel mask, 0/1 or 0/255: PNG, TIFF, NIfTI or DICOM.", show_default=False)
    ],
    spacing: Annotated[
        float | None, typer.Option(help="Millimetres per pixel at the patient; without it all is in pixels.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="The angiogram itself, to calibrate by a catheter in it.")
    ] = None,
    catheter_french: Annotated[
        float | None, typer.Option(help="Size of that catheter; a French is a third of a millimetre.")
    ] = None,
    catheter: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="X0 Y0 X1 Y1: two points in px along the middle of a straight part of it."),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Write the lesions to this file, as a list; - for standard output."
        ),
    ] = None,
) -> None:
    """Measure the stenoses in a vessel mask: MLD, reference diameter, %DS, length."""
    console = console_beside(json_file)
    with one_line_errors():
        from monai_lora_sam.coronary.images import implausible_spacing, read_angiogram, read_vessel_mask
        from monai_lora_sam.coronary.qca import Calibration, calibrate_by_catheter, measure

        reason = None if spacing is None else implausible_spacing(spacing)
        if reason is not None:
            raise ValueError(f"--spacing: {reason}")
        given = [option is not None for option in (image, catheter_french, catheter)]
        if any(given) and not all(given):
            raise ValueError(
                "expected --image, --catheter-french and --catheter together, found some of them"
            )
        if any(given) and spacing is not None:
            raise ValueError("expected --spacing or a catheter, found both")
        check_json_file(json_file)
        vessels = read_vessel_mask(mask)
        calibration = None if spacing is None else Calibration.of(spacing)
        if image is not None and catheter_french is not None and catheter is not None:
            x0, y0, x1, y1 = catheter
            pixels = read_angiogram(image).pixels
            if pixels.shape != vessels.shape:
                found, expected = (
                    "{1} × {0} pixels".format(*shape) for shape in (pixels.shape, vessels.shape)
                )
                raise ValueError(f"{image}: expected {expected} as in {mask}, found {found}")
            calibration = calibrate_by_catheter(pixels, [(y0, x0), (y1, x1)], catheter_french)
            spacing = calibration.pixel_spacing_mm
            console.print(
                f"Catheter: {calibration.detail}, so {spacing:.4f} mm per pixel, give or take "
                f"{calibration.expected_error_percent:.1f} %.",
                highlight=False,
            )
        try:
            result = measure(vessels, pixel_spacing_mm=spacing)
        except ValueError as error:
            raise ValueError(f"{mask}: {error}") from error
        lesions = result.to_json(calibration)["lesions"]
        if json_file is not None:
            write_json(lesions, json_file)
    unit = "px" if spacing is None else "mm"
    if not lesions:
        found = f"{len(result.profiles)} vessels, no stenosis" if result.profiles else "no vessel found"
        console.print(f"{mask.name}: {found}.", highlight=False, soft_wrap=True)
        return
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in (
        "lesion",
        "%DS",
        "95 %",
        f"MLD ({unit})",
        "95 %",
        f"RVD ({unit})",
        f"length ({unit})",
        "MLD at x, y",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for lesion in lesions:
        x, y = lesion["mld_xy"]
        table.add_row(
            str(lesion["id"]),
            f"{lesion['percent_diameter_stenosis']:.1f}",
            "{:.0f}–{:.0f}".format(*lesion["percent_diameter_stenosis_interval"]),
            f"{lesion[f'mld_{unit}']:.2f}",
            "{:.2f}–{:.2f}".format(*lesion[f"mld_{unit}_interval"]),
            f"{lesion[f'rvd_{unit}']:.2f}",
            f"{lesion[f'length_{unit}']:.1f}",
            f"{x:.0f}, {y:.0f}",
        )
    console.print(table)
