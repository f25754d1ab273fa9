"""``monai-lora-sam predict``: run a stage over any number of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from monai_lora_sam.cli.console import console, errors, one_line_errors, progress
from monai_lora_sam.files import printable

EPILOG = (
    "Examples:\n\n"
    "monai-lora-sam predict study.parquet --stage vessels --out predictions\n\n"
    "On 8 GPUs of one machine:\n\n"
    "torchrun --nproc_per_node 8 --no-python monai-lora-sam predict study.parquet --stage vessels --out predictions\n\n"
    "The same command goes on where an earlier run stopped, on this machine or others that see the folder."
)

app = typer.Typer()


@app.command(epilog=EPILOG)
def predict(
    index: Annotated[
        Path, typer.Argument(help="Parquet file of the images, as of `prepare index`.", show_default=False)
    ],
    stage: Annotated[
        str,
        typer.Option(
            help="Folder of a stage or adapter, or the name of an installed one.", metavar="NAME|FOLDER"
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder for the masks, in shards; of a half-done run: what is missing is done."),
    ],
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="JSON file of boxes, points or words for each image, as of `segment`.", metavar="FILE"
        ),
    ] = None,
    parent: Annotated[
        list[str] | None,
        typer.Option(
            help="Stage that this one was trained on top of, first to last; repeatable.", metavar="FOLDER"
        ),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images of a shard, the unit that a killed worker loses. Default: 256."),
    ] = None,
    ray: Annotated[
        bool,
        typer.Option("--ray", help="Spread the shards over a Ray cluster (RAY_ADDRESS, or this machine)."),
    ] = False,
    weights: Annotated[
        str | None, typer.Option(help="Weights of the encoder in place of its own.", metavar="FILE|FOLDER|ID")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps. Default: cuda where there is one.")
    ] = None,
) -> None:
    """Segment the images of an index, each once: by one process, torchrun, a SLURM array or Ray."""
    with one_line_errors():
        from monai_lora_sam.prediction import (
            StagePredictor,
            begin_run,
            predict_on_ray,
            summarise_run,
            work_on_shards,
            worker_place,
        )

        begin = {"index": index, "stage": stage, "out": out, "prompts": prompts, "shard_size": shard_size}
        run = begin_run(**begin)  # type: ignore[arg-type]
        load = {
            "stage": stage,
            "prompts": prompts,
            "weights": weights,
            "parents": parent or [],
            "device": device,
        }
        if ray:
            predict_on_ray(run, begin, load)
            reports = []
        else:
            place = worker_place()
            with progress("images") as bars:
                left = (run.limits(shard) for shard in range(run.shards) if not run.is_done(shard))
                bar = bars.add_task("", total=sum(stop - start for start, stop in left))
                reports = work_on_shards(
                    run,
                    lambda: StagePredictor(**{**load, "device": _own_device(device, place.local)}),  # type: ignore[arg-type]
                    place,
                    lambda images: bars.advance(bar, images),
                )
        summary = summarise_run(run)
    if reports:
        total = sum(report.total for report in reports)
        shares = {
            "network": sum(report.network for report in reports) / total,
            "waiting for images": sum(report.for_images for report in reports) / total,
            "waiting for files": sum(report.for_files for report in reports) / total,
        }
        images = sum(report.images for report in reports)
        console.print(
            f"{images:,} images in {total:.1f} s, {images / total:.2f} a second: "
            + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()),
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"[bold]{escape(printable(out))}[/]: {summary.done:,} of {summary.images:,} images done, "
        f"{summary.failed:,} failed",
        highlight=False,
        soft_wrap=True,
    )
    if summary.failed:
        errors.print(
            f"[bold red]failed:[/] listed in {escape(printable(summary.failed_file))}", soft_wrap=True
        )
        raise typer.Exit(1)


def _own_device(device: str | None, local: int) -> str | None:
    """Return the GPU of this worker among those of its machine, where the user names none."""
    import torch

    count = torch.cuda.device_count()
    return f"cuda:{local % count}" if device in (None, "cuda") and count else device
