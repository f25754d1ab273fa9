"""Measure phantom lesions and compare with their exact truth: MLD, %DS, length, place, detection, intervals.

    python scripts/bench_qca.py --cache phantoms_qca --out bench_qca --json bench_qca/figures.json
    python scripts/bench_qca.py --cache phantoms_qca --quick

Phantoms are drawn once into the cache, and each input of each phantom is measured once by each version of the
code: a run that was broken off goes on where it stopped. Inputs: the exact mask, the exact mask blurred, and what
stage 1 predicts together with the angiogram, as the pipeline measures. The first two come with the exact segment
map. A lesion is "clear" when no other vessel lies beside it and it is seen at half its length at least: a frame
that a core laboratory would choose; "wide" when its reference is 10 px and more besides. Lesions that the picture does
not show whole count nowhere. MLD in mm is the lesion's own, at its depth, so that its error is that of the walls alone;
the intervals in mm have the calibration's too.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import json
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache as cache_result
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich import box
from rich.progress import Progress
from rich.table import Table
from scipy.ndimage import gaussian_filter

from monai_lora_sam.cli.console import console, one_line_errors
from monai_lora_sam.coronary import qca, vessel_tree
from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.coronary.phantom import MEASUREMENT_CONFIG, prepare_phantoms
from monai_lora_sam.coronary.phantom.lesion_line import lesion_line, share_beside
from monai_lora_sam.coronary.pipeline import (
    CoronaryPipeline,
    diameter_finder,
    shipped_stages,
    straighten_vessel,
)
from monai_lora_sam.coronary.qca import QcaResult, measure
from monai_lora_sam.coronary.qca.calibration import EXPECTED_ERRORS
from monai_lora_sam.coronary.qca.lesion import Lesion
from monai_lora_sam.coronary.qca.stenosis import Stenosis
from monai_lora_sam.coronary.qca.uncertainty import stenosis_intervals
from monai_lora_sam.coronary.report import LesionComparison, comparison_sheet
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.images import read_label
from monai_lora_sam.metrics import agreement
from monai_lora_sam.report import bland_altman

REFERENCE_MM = (1.5, 4.5)
INPUTS = ("exact", "blurred", "predicted")
BLUR_PX = 1.0
CLEAR_SHARE, CLEAR_FORESHORTENING = 0.02, 0.5
WIDE_PX = 10.0  # reference diameter of a clear lesion that is "wide"
FALSE_FROM_PX = 10.0  # from every true lesion
QUICK, WORST = 12, 10

EXAMPLES = """Examples:

python scripts/bench_qca.py --cache phantoms_qca --out bench_qca --json bench_qca/figures.json

python scripts/bench_qca.py --cache phantoms_qca --input exact --quick
"""


@one_line_errors()
def main(
    cache: Annotated[Path, typer.Option(help="Folder for phantoms and their measurements; kept.")],
    count: Annotated[int, typer.Option(help="Phantoms; each has one to three lesions.")] = 1200,
    seed: Annotated[
        int, typer.Option(help="Of the phantoms. Seeds 7 to 13 served to develop the measurement.")
    ] = 14,
    input_: Annotated[
        list[str] | None, typer.Option("--input", help=f"{', '.join(INPUTS)}; repeatable. Default: all.")
    ] = None,
    stage: Annotated[Path | None, typer.Option(help="A vessel stage. Default: the shipped one.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for Bland-Altman plots and the ten worst cases.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures and every lesion here as well.")
    ] = None,
    quick: Annotated[bool, typer.Option(help=f"The first {QUICK} phantoms only.")] = False,
) -> None:
    """Measure phantom lesions and compare with their truth."""
    inputs = input_ or list(INPUTS)
    unknown = set(inputs) - set(INPUTS)
    if unknown:
        raise ValueError(f"--input: expected {', '.join(INPUTS)}, found {', '.join(sorted(unknown))}")
    count = min(count, QUICK) if quick else count
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task("phantoms", total=count)
        datalist = prepare_phantoms(
            cache / f"phantoms_{seed}",
            count,
            seed,
            validation_fraction=0.0,
            progress=lambda done, _: bars.update(bar, completed=done),
            config=MEASUREMENT_CONFIG,
        )
        entries = json.loads(datalist.read_text())["training"]
        images: dict[str, list[dict[str, Any]]] = {}
        for name in inputs:
            pipeline = (
                CoronaryPipeline(stage or shipped_stages(1)["vessels"]) if name == "predicted" else None
            )
            gc.freeze()  # else Python now and then looks through all of torch, while a picture is timed
            bar = bars.add_task(name, total=count)
            images[name] = []
            for entry in entries:
                images[name].append(measured_once(cache, datalist.parent, entry, name, pipeline))
                bars.advance(bar)
    rows = {name: [row for image in found for row in image["lesions"]] for name, found in images.items()}
    figures = {
        name: {group: summary(members) for group, members in groups(found).items()}
        for name, found in rows.items()
    }
    by_image = {
        name: {
            "false_lesions": _mean([image["false_lesions"] for image in found]),
            "seconds_median": _median([image["seconds"] for image in found]),
            "seconds_longest": max(image["seconds"] for image in found),
        }
        for name, found in images.items()
    }
    console.print(as_table(figures, f"{count} phantoms, seed {seed}"))
    for name, one in by_image.items():
        console.print(
            f"{name}: {one['false_lesions']:.2f} false lesions an image; {one['seconds_median']:.2f} s an image, "
            f"{one['seconds_longest']:.2f} s at most",
            highlight=False,
        )
    for name, found in rows.items():
        missed = [row for row in found if row["clear"] and not row["found"]]
        console.print(f"{name}: {len(missed)} clear lesions not found" + (":" if missed else "."))
        for row in missed:
            console.print(f"  {describe(row)}", highlight=False)
    if json_file is not None:
        command = [Path(sys.argv[0]).name, *sys.argv[1:]]
        found_all = {"figures": figures, "images": by_image, "lesions": rows}
        write_json(json_file, {"command": command, "seed": seed, **found_all})
    if out is not None:
        for name, found in rows.items():
            write_pictures(out / name, datalist.parent, [row for row in found if row["clear"]])
        console.print(f"Plots and worst cases: {out}", soft_wrap=True)


def measured_once(
    cache: Path, folder: Path, entry: dict[str, Any], name: str, pipeline: CoronaryPipeline | None
) -> dict[str, Any]:
    """Return a phantom's lesions with their measurements, from the cache where they are there."""
    identity = "" if pipeline is None else f"_{(pipeline.networks.identity() or 'unsaved')[:8]}"
    kept = (
        cache / f"measured_{folder.name}_{name}{identity}_{code_identity(name)}" / f"{entry['case_id']}.json"
    )
    if kept.is_file():
        return json.loads(kept.read_text())
    truth = json.loads((folder / entry["truth"]).read_text())
    mask = read_label(folder / entry["label"], classes=2) > 0
    segments: np.ndarray | None = np.asarray(Image.open(folder / entry["segments"]))
    pictured: dict[str, Any] = {}
    if pipeline is None:
        probability = (
            mask if name == "exact" else gaussian_filter(mask.astype(np.float32), BLUR_PX).clip(0, 1)
        )
    else:
        angiogram = read_angiogram(folder / entry["image"])
        probability, segments = pipeline.probability(angiogram), None
        pictured = {"image": angiogram.pixels, "find_lumen": pipeline.lumen_finder(probability)}
    started = time.process_time()
    result = measure(probability, segments=segments, pixel_spacing_mm=truth["pixel_spacing_mm"], **pictured)
    seconds = time.process_time() - started
    lesions = [{"case": entry["case_id"], "input": name, **row} for row in compare(truth, mask, result)]
    image = {"lesions": lesions, "false_lesions": false_lesions(truth, result), "seconds": round(seconds, 4)}
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_json(kept, image)
    return image


@cache_result
def code_identity(name: str) -> str:
    """Return a hash of the code that measures: figures of another version are never taken for this one's."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    readers = (diameter_finder, straighten_vessel) if name == "predicted" else ()
    files = [Path(inspect.getfile(reader)) for reader in readers]
    for room in (qca, vessel_tree):
        files += sorted(Path(room.__file__ or "").parent.glob("*.py"))
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def compare(truth: dict[str, Any], mask: np.ndarray, result: QcaResult) -> list[dict[str, Any]]:
    """Match each true lesion that the picture shows with the nearest measured one."""
    rows = []
    taken: set[tuple[int, int]] = set()
    for lesion in truth["lesions"]:
        line = lesion_line(truth, lesion)
        if line is None or not REFERENCE_MM[0] <= lesion["reference_diameter_mm"] <= REFERENCE_MM[1]:
            continue
        points = line.points_rc
        beside = share_beside(mask, line)
        if beside is None:
            continue
        spacing = lesion["minimum_lumen_diameter_mm"] / lesion["minimum_lumen_diameter_px"]
        centre = np.array(lesion["centre_xy_px"])[::-1]
        row: dict[str, Any] = {
            "segment": lesion["segment"],
            "xy": [round(value, 1) for value in lesion["centre_xy_px"]],
            "percent": lesion["percent_diameter_stenosis"],
            "mld_mm": lesion["minimum_lumen_diameter_mm"],
            "mld_px": lesion["minimum_lumen_diameter_px"],
            "reference_mm": lesion["reference_diameter_mm"],
            "length_mm": line.length_px * spacing,
            "clear": beside < CLEAR_SHARE and line.foreshortening > CLEAR_FORESHORTENING,
            "found": False,
        }
        reach = max(4.0, float(line.diameter_px.max()) / 2)
        near = [
            (float(np.linalg.norm(at - centre)), found, one)
            for found, one, at in all_stenoses(result)
            if np.linalg.norm(points - at, axis=1).min() < reach
            and (found.vessel_id, one.minimum) not in taken
        ]
        if near:
            far, found, one = min(near, key=lambda item: item[0])
            taken.add((found.vessel_id, one.minimum))
            row |= measured_row(found, one, far, spacing, result.pixel_spacing_mm or 1.0)
        rows.append(row)
    return rows


def measured_row(
    lesion: Lesion, one: Stenosis, far_px: float, spacing: float, isocentre_mm: float
) -> dict[str, Any]:
    profile = lesion.profile
    reference = float(profile.reference_px[one.minimum])
    error = EXPECTED_ERRORS["distances"][0]
    intervals = stenosis_intervals(profile, one, calibration_error_percent=error)
    return {
        "found": True,
        "measured_percent": 100.0 * (1.0 - one.minimum_lumen_diameter_px / reference),
        "measured_mld_mm": one.minimum_lumen_diameter_px * spacing,
        "measured_reference_mm": reference * spacing,
        "measured_length_mm": float(profile.arc_length_px[one.end] - profile.arc_length_px[one.begin])
        * spacing,
        "place_mm": far_px * spacing,
        "occlusion": one.total_occlusion,
        "percent_interval": intervals.percent,
        "mld_px_interval": intervals.mld_px,
        "mld_mm_interval": [value * isocentre_mm for value in intervals.mld_calibrated_px],
        "measured_xy": profile.points_rc[one.begin : one.end + 1 : 2, ::-1].round(1).tolist(),
        "measured_mld_xy": profile.points_rc[one.minimum, ::-1].round(1).tolist(),
    }


def false_lesions(truth: dict[str, Any], result: QcaResult) -> int:
    """Count the stenoses that lie on none of the true ones, whatever size those have."""
    true = [
        np.array([lesion["centre_xy_px"]])[:, ::-1] if line is None else line.points_rc
        for lesion in truth["lesions"]
        for line in [lesion_line(truth, lesion)]
    ]
    places = [at for _, _, at in all_stenoses(result)]
    return sum(
        all(np.linalg.norm(points - at, axis=1).min() > FALSE_FROM_PX for points in true) for at in places
    )


def all_stenoses(result: QcaResult) -> Iterator[tuple[Lesion, Stenosis, np.ndarray]]:
    for lesion in result.lesions:
        for one in lesion.stenoses:
            yield lesion, one, lesion.profile.points_rc[one.minimum]


def groups(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the clear lesions, those of them in a vessel wide enough to be resolved, and all."""
    clear = [row for row in rows if row["clear"]]
    wide = [row for row in clear if row["reference_mm"] * row["mld_px"] / row["mld_mm"] >= WIDE_PX]
    return {"clear": clear, "wide": wide, "all": list(rows)}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures over lesions; those that were not found count in the detection rate alone."""
    found = [row for row in rows if row["found"]]
    severe = [row for row in rows if row["percent"] >= 50]
    mld = agreement([row["measured_mld_mm"] for row in found], [row["mld_mm"] for row in found])
    percent = agreement([row["measured_percent"] for row in found], [row["percent"] for row in found])
    length = [abs(row["measured_length_mm"] / row["length_mm"] - 1) for row in found]

    def covered(name: str, truth: str) -> float:
        return _mean([row[name][0] <= row[truth] <= row[name][1] for row in found])

    errors = [row["measured_mld_mm"] - row["mld_mm"] for row in found]
    figures = {
        "detected": _mean([row["found"] for row in rows]),
        "detected_from_50_percent": _mean([row["found"] for row in severe]),
        "mld_bias_mm": mld.bias,
        "mld_sd_mm": mld.standard_deviation,
        "mld_median_mm": _median(errors),
        "percent_mae": percent.mean_absolute_error,
        "percent_bias": percent.bias,
        "length_error_percent": 100 * _mean(length),
        "length_error_median_percent": 100 * _median(length),
        "place_within_1_mm": _mean([row["place_mm"] <= 1 for row in found]),
        "coverage_percent": covered("percent_interval", "percent"),
        "coverage_mld_px": covered("mld_px_interval", "mld_px"),
        "coverage_mld_mm": covered("mld_mm_interval", "mld_mm"),
    }
    known = {name: value if np.isfinite(value) else None for name, value in figures.items()}
    return {"lesions": len(rows), **known}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


#: Heading and format of each figure in the table.
SHOWN = {
    "lesions": ("lesions", "{:d}"),
    "detected": ("found", "{:.1%}"),
    "detected_from_50_percent": ("found, of 50 %DS and more", "{:.1%}"),
    "mld_bias_mm": ("MLD, bias (mm)", "{:+.3f}"),
    "mld_sd_mm": ("MLD, SD (mm)", "{:.3f}"),
    "mld_median_mm": ("MLD, median error (mm)", "{:+.3f}"),
    "percent_mae": ("%DS, mean absolute error", "{:.2f}"),
    "percent_bias": ("%DS, bias", "{:+.2f}"),
    "length_error_percent": ("length, mean absolute error (%)", "{:.1f}"),
    "length_error_median_percent": ("length, median (%)", "{:.1f}"),
    "place_within_1_mm": ("place within 1 mm", "{:.1%}"),
    "coverage_percent": ("%DS within its 95 % interval", "{:.1%}"),
    "coverage_mld_px": ("MLD (px) within its interval", "{:.1%}"),
    "coverage_mld_mm": ("MLD (mm) within its interval", "{:.1%}"),
}


def as_table(figures: dict[str, dict[str, dict[str, Any]]], title: str) -> Table:
    """Return the figures for the console: a column for each input and group of lesions."""
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("")
    columns = [(name, group, found) for name, groups in figures.items() for group, found in groups.items()]
    for name, group, _ in columns:
        table.add_column(f"{name}\n{group}", justify="right", no_wrap=True)
    for key, (heading, form) in SHOWN.items():
        cells = ["–" if found[key] is None else form.format(found[key]) for _, _, found in columns]
        table.add_row(heading, *cells)
    return table


def describe(row: dict[str, Any]) -> str:
    """Return a line on a lesion and its error."""
    x, y = row["xy"]
    line = (
        f"{row['case']} segment {row['segment']} at x={x:.0f}, y={y:.0f}: {row['percent']:.0f} %DS, "
        f"MLD {row['mld_mm']:.2f} mm ({row['mld_px']:.1f} px), reference {row['reference_mm']:.2f} mm"
    )
    return f"{line}; {what_went_wrong(row)}"


def what_went_wrong(row: dict[str, Any]) -> str:
    """Name the part of a measurement that is off most."""
    if not row["found"]:
        depth = (row["percent"] / 100) * row["mld_px"] / max(1 - row["percent"] / 100, 0.01)
        return "not found" + (f": only {depth:.1f} px deep" if depth < 1.5 else "")
    if row["occlusion"]:
        return "the mask is broken at it: taken for an occlusion"
    off = row["measured_percent"] - row["percent"]
    reference = 100 * (row["measured_reference_mm"] / row["reference_mm"] - 1)
    mld = row["measured_mld_mm"] - row["mld_mm"]
    by_reference = (1 - row["percent"] / 100) * reference
    cause = (
        f"reference {reference:+.0f} %"
        if abs(by_reference) > abs(100 * mld / row["reference_mm"])
        else f"smallest diameter {mld:+.2f} mm"
    )
    place = f", {row['place_mm']:.1f} mm beside the place" if row["place_mm"] > 1 else ""
    return f"{off:+.1f} points by its {cause}{place}"


def write_pictures(folder: Path, phantoms: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write Bland-Altman plots as SVG, the worst cases as worst.png, and a line on each of them in worst.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [row for row in rows if row["found"]]
    for name, unit in (("mld_mm", "MLD (mm)"), ("percent", "%DS")):
        pairs = [(row[f"measured_{name}"], row[name]) for row in found]
        (folder / f"bland_altman_{name}.svg").write_text(bland_altman(pairs, unit), encoding="utf-8")
    worst = sorted(
        rows, key=lambda r: -(abs(r["measured_percent"] - r["percent"]) if r["found"] else r["percent"])
    )[:WORST]
    lines = [f"{place:2d}. {describe(row)}" for place, row in enumerate(worst, start=1)]
    (folder / "worst.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if worst:
        sheet = comparison_sheet(
            [
                LesionComparison(
                    line.split(":")[0],
                    read_angiogram(phantoms / "images" / f"{row['case']}.png").pixels,
                    read_label(phantoms / "labels" / f"{row['case']}.png", classes=2) > 0,
                    row["xy"],
                    row.get("measured_xy", []),
                    row.get("measured_mld_xy"),
                )
                for row, line in zip(worst, lines, strict=True)
            ]
        )
        sheet.save(folder / "worst.png")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(epilog=EXAMPLES)(main)
    app()
