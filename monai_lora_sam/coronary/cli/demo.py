"""``monai-lora-sam demo``: organs by boxes, a vessel adapter trained on phantoms, the shipped stages on others."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_lora_sam.cli import console, one_line_errors, progress
from monai_lora_sam.files import check_output_folder

if TYPE_CHECKING:
    from monai_lora_sam.coronary.pipeline import CoronaryPipeline
    from monai_lora_sam.coronary.report import Comparison
    from monai_lora_sam.report import Section, Table

PHANTOMS = 96
EPOCHS = 6
PICTURES = 4
STAGED_PICTURES = 2  # shown with all three stages
IMAGE_SIZE = 256  # px, a quarter of the time of `mini` at its own 512
#: A slice of an abdomen in MR, which the package pydicom carries, and boxes (x0, y0, x1, y1) around its organs.
ABDOMEN = "examples_overlay.dcm"
ORGANS = {
    "right kidney": (120, 187, 184, 250),
    "left kidney": (287, 198, 349, 256),
    "liver": (46, 76, 180, 192),
    "aorta": (240, 152, 270, 184),
}
CLICKED = (152, 220)  # in the right kidney

app = typer.Typer()


@app.command(
    epilog="Examples:\n\nmonai-lora-sam demo\n\nmonai-lora-sam demo --out demo_output --angiogram my_angiogram.png"
)
def demo(
    out: Annotated[Path, typer.Option(help="Folder for phantoms, adapter and report.html.")] = Path(
        "demo_output"
    ),
    angiogram: Annotated[Path | None, typer.Option(help="An angiogram of yours to run as well.")] = None,
) -> None:
    """Segment organs by boxes, train a vessel adapter, read angiograms in three stages: a few minutes on a laptop."""
    with one_line_errors():
        check_output_folder(out)
        page = run_demo(out, angiogram)
    console.print(f"Open [bold]{page}[/] in a browser.", soft_wrap=True)


def run_demo(out: Path, angiogram: Path | None) -> Path:
    """Segment an abdomen by boxes, draw phantoms, train the adapter ``vessels``, run all stages, write ``report.html``.

    The adapter is trained on `mini`, which takes a minute or two, and shown beside the truth; vessels, segments and
    stenoses by the three stages that come with the package.

    A run that was killed goes on where it stopped. A few minutes on two cores.

    Args:
        out: folder for everything.
        angiogram: a real angiogram to run as well, with the weights that come with the package.

    Returns:
        The page.
    """
    import torch

    from monai_lora_sam.coronary.data import read_split
    from monai_lora_sam.coronary.phantom import PhantomConfig, prepare_phantoms
    from monai_lora_sam.coronary.pipeline import CoronaryPipeline, write_result
    from monai_lora_sam.coronary.report import result_sections, write_demo_report
    from monai_lora_sam.handlers import read_history
    from monai_lora_sam.workflows import run_bundle

    if angiogram is not None and not angiogram.is_file():
        raise FileNotFoundError(f"{angiogram}: expected an angiogram, found nothing")
    console.print("[bold]1/5[/] segmenting the organs of an abdomen by boxes, with LiteMedSAM as it is")
    organs = _organs(out)
    console.print(f"[bold]2/5[/] drawing {PHANTOMS} synthetic angiograms")
    with progress("phantoms") as bars:
        bar = bars.add_task("", total=PHANTOMS)
        config = PhantomConfig(lesion_probability=0.9)
        datalist = prepare_phantoms(
            out / "phantoms", PHANTOMS, 0, 1 / 6, lambda done, _: bars.update(bar, completed=done), config
        )
    console.print("[bold]3/5[/] training a LoRA adapter and a head on them; the base stays frozen")
    started = time.perf_counter()
    run = run_bundle(
        "vessel_segmentation",
        overrides={
            "dataset_dir": str(datalist.parent),
            "output_dir": str(out / "models"),
            "epochs": EPOCHS,
            "image_size": IMAGE_SIZE,
            "encoder_name": "mini",
            "batch_size": 4,
            "lora#dropout": 0.0,
        },
    )
    seconds = time.perf_counter() - started
    network = run.parser.get_parsed_content("network_def")
    console.print("[bold]4/5[/] running the vessel stage just trained")
    entries = read_split(datalist, "validation")
    pipeline = CoronaryPipeline(out / "models" / "best")
    comparisons = [_compare(entry, pipeline, out) for entry in entries[:PICTURES]]
    console.print("[bold]5/5[/] running the three stages that come with the package")
    shipped = CoronaryPipeline()
    own: list[Section] = []
    if angiogram is not None:
        result = shipped(angiogram)
        write_result(result, out / "angiogram")
        own = result_sections(
            result.report, result.angiogram.pixels, result.vessels, result.probability, result.segments
        )
        own[0] = replace(own[0], title=f"{result.angiogram.path.name}, by the shipped stages")
    lesions_first = sorted(entries, key=lambda entry: -len(entry["lesions"]))[:STAGED_PICTURES]
    own += [section for entry in lesions_first for section in _staged(entry, shipped, out)]
    history = read_history(out / "models" / "history.jsonl")
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    write_demo_report(
        out,
        comparisons,
        [line["loss"] for line in history],
        [line["val_dice"] for line in history],
        {
            "Synthetic angiograms": PHANTOMS,
            "Epochs": len(history),
            "Training in this call (s)": round(seconds),
            "Parameters trained": f"{trained:,}",
            "Parameters of the base, frozen": f"{sum(p.numel() for p in network.stack.parameters()):,}",
            "CPU threads": torch.get_num_threads(),
        },
        own,
        organs,
    )
    return out / "report.html"


def _organs(out: Path) -> list[Section]:
    """Segment the organs of an abdomen by boxes, and one by a click; nothing where that picture is not installed."""
    from pydicom.data import get_testdata_file

    from monai_lora_sam.images import read_colour_image
    from monai_lora_sam.prompting import (
        ObjectPrompt,
        load_promptable,
        object_viewer,
        segment_image,
        write_objects,
    )
    from monai_lora_sam.report import Gallery, Section, Table, Text

    file = get_testdata_file(ABDOMEN, download=False)
    if not file:
        return []
    picture = read_colour_image(str(file))
    prompts = [ObjectPrompt(name, box) for name, box in ORGANS.items()]
    clicked = ObjectPrompt("right kidney, by a click", points=(CLICKED,))
    network = load_promptable()
    *found, by_click = segment_image(network, picture.pixels, [*prompts, clicked])
    write_objects(
        out / "organs", picture.pixels, found, {"image": ABDOMEN, "encoder": network.stack.encoder.name}
    )
    rows = [
        [one.prompt.name, f"{one.mask.sum():,}", f"{one.predicted_iou:.2f}"] for one in [*found, by_click]
    ]
    return [
        Section(
            "Any organ by a box: LiteMedSAM as it is",
            [
                Text(
                    "A real slice of an abdomen in MR, which the package pydicom carries. Nothing was trained for it; "
                    "the network was given a box around each organ. LiteMedSAM never saw clicks in its training: a "
                    "click alone finds next to nothing until an adapter has learnt it."
                ),
                Gallery([object_viewer(picture.pixels, found), object_viewer(picture.pixels, [by_click])]),
                Table(["object", "area (px)", "predicted IoU"], rows),
            ],
        )
    ]


def _compare(entry: dict, pipeline: CoronaryPipeline, out: Path) -> Comparison:
    import numpy as np
    from PIL import Image

    from monai_lora_sam.coronary.pipeline import write_result
    from monai_lora_sam.coronary.report import Comparison

    result = pipeline(entry["image"])
    name = Path(entry["image"]).stem
    write_result(result, out / "phantom_results" / name)
    truth = np.asarray(Image.open(entry["label"])) > 0
    overlap = 2 * (truth & result.vessels).sum() / max(truth.sum() + result.vessels.sum(), 1)
    return Comparison(name, result.angiogram.pixels, truth, result.vessels, float(overlap))


def _staged(entry: dict, pipeline: CoronaryPipeline, out: Path) -> list[Section]:
    """Run all stages on a phantom and set the truth beside their results."""
    import numpy as np
    from PIL import Image

    from monai_lora_sam.coronary.anatomy import segment_name, syntax_from_arcade_id
    from monai_lora_sam.coronary.pipeline import write_result
    from monai_lora_sam.coronary.report import result_sections

    result = pipeline(entry["image"], entry["view"], entry["pixel_spacing_mm"])
    name = Path(entry["image"]).stem
    write_result(result, out / "three_stages" / name)
    arrays = (result.angiogram.pixels, result.vessels, result.probability, result.segments)
    sections = result_sections(result.report, *arrays)
    shown = [s for s in sections if s.title in ("Image", "Lesions", "Segments")]
    shown[0] = replace(shown[0], title=f"Three stages on {name}, a synthetic angiogram")
    numbers = np.unique(np.asarray(Image.open(entry["segments"])))
    true = [segment_name(syntax_from_arcade_id(int(number))) for number in numbers if number]
    shown[0] = replace(
        shown[0], blocks=[*shown[0].blocks, _truth_table(true, entry["lesions"], result.report)]
    )
    return shown


def _truth_table(segments: list[str], lesions: list[dict], report: dict) -> Table:
    """Set true segments and lesions beside those of a report: found, missed, and found where there is none."""
    from monai_lora_sam.report import Table

    found = [row["name"] for row in report.get("segments", [])]
    extra = [name for name in found if name not in segments]
    rows = [["segment", name, "found" if name in found else "missed"] for name in segments]
    rows += [["segment", "–", f"{name}: found, but not there"] for name in extra]
    counts = [_counts("Segments", len(segments), sum(name in found for name in segments), len(extra))]
    reported = report.get("lesions", [])
    held = [[row for row in reported if _holds(row, lesion)] for lesion in lesions]
    false = [row for row in reported if not any(row in rows_of_one for rows_of_one in held)]
    for lesion, rows_of_one in zip(lesions, held, strict=True):
        percent, mld = lesion["percent_diameter_stenosis"], lesion["mld_mm"]
        described = "; ".join(map(_described, rows_of_one)) or "missed"
        rows.append(["lesion", f"{lesion['segment']}: {percent:.0f} %DS, MLD {mld:.2f} mm", described])
    rows += [["lesion", "–", f"{_described(row)}: found, but not there"] for row in false]
    counts.append(_counts("Lesions", len(lesions), sum(map(bool, held)), len(false)))
    return Table(["structure", "truth", "result"], rows, " ".join(counts))


def _counts(name: str, true: int, found: int, false: int) -> str:
    return f"{name}: {found} of {true} found, {true - found} missed, {false} found but not there."


def _holds(row: dict, lesion: dict) -> bool:
    """Say whether the box of a report's lesion holds the centre of a true one."""
    left, top, right, bottom = row["box_xy"]
    x, y = lesion["centre_xy"]
    # In datalists the image spans 0 to its width; in reports 0 is the middle of the first pixel.
    return left <= x - 0.5 <= right and top <= y - 0.5 <= bottom


def _described(row: dict) -> str:
    percent = row["percent_diameter_stenosis"]
    return f"lesion {row['id']}: " + ("not measurable" if percent is None else f"{percent:.0f} %DS")
