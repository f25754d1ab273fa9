"""``monai-lora-sam plan``: predict the memory of a step, and what fits a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from monai_lora_sam.cli.console import check_json_file, console_beside, one_line_errors, write_json
from monai_lora_sam.files import atomic_write, check_output_file

if TYPE_CHECKING:
    from monai_lora_sam.memory import Change, Prediction

app = typer.Typer()


@app.command(
    epilog="Examples:\n\n"
    "monai-lora-sam plan --encoder sam3 --image-size 1008 --gpu 8GB --checkpointing\n\n"
    "monai-lora-sam plan --encoder sam3 --strategy full --batch 4 --gpu 24GB --json - --apply fits.yaml"
)
def plan(
    encoder: Annotated[str, typer.Option(help="Encoder by name.")] = "medsam_lite",
    image_size: Annotated[
        int | None, typer.Option(help="Side in pixels. Default: the encoder's own.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="lora, frozen, last_n or full.")] = "lora",
    batch: Annotated[int, typer.Option(help="Images of a step.")] = 1,
    gpu: Annotated[str, typer.Option(help="Memory of the GPU, such as 8GB.")] = "8GB",
    checkpointing: Annotated[bool, typer.Option(help="Gradient checkpointing.")] = False,
    offload: Annotated[
        bool, typer.Option(help="Gradient checkpointing with the checkpoints in the memory of the CPU.")
    ] = False,
    quantise: Annotated[str | None, typer.Option(help="nf4: linear layers of the base in 4 bits.")] = None,
    base: Annotated[str, typer.Option(help="Type of the base's weights: float32 or bfloat16.")] = "float32",
    mixed_precision: Annotated[bool, typer.Option(help="bfloat16 autocast.")] = True,
    rank: Annotated[int, typer.Option(help="Of the adapter.")] = 16,
    targets: Annotated[str | None, typer.Option(help="Preset of the adapter's layers, such as qv.")] = None,
    layers: Annotated[int | None, typer.Option(help="Adapt the last blocks alone: how many.")] = None,
    feature_cache: Annotated[
        bool, typer.Option(help="Read the features of what the training leaves as it is from a cache.")
    ] = False,
    last_n: Annotated[int, typer.Option(help="Blocks that strategy last_n trains.")] = 2,
    head: Annotated[str, typer.Option(help="Type of the head.")] = "view_segmentation",
    head_width: Annotated[int | None, typer.Option(help="Channels of the head.")] = None,
    optimiser: Annotated[str, typer.Option(help="adamw, adamw_8bit or paged_adamw_8bit.")] = "adamw",
    inference: Annotated[bool, typer.Option(help="A forward pass instead of a training step.")] = False,
    check: Annotated[bool, typer.Option(help="Run the step on the GPU and compare.")] = False,
    apply: Annotated[
        Path | None, typer.Option(help="Write the settings that fit as a configuration over train.yaml.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the plan as JSON; - for standard output.")
    ] = None,
) -> None:
    """Predict the peak memory of a step without a GPU and without weights; say what fits, and what to change."""
    with one_line_errors():
        check_json_file(json_file)
        if apply is not None:
            check_output_file(apply)
        from monai_lora_sam.memory import (
            StepConfiguration,
            StepMemory,
            advise,
            fits,
            largest_batch,
            needed_gib,
            parse_gpu,
        )

        gpu_gib = parse_gpu(gpu)
        configuration = StepConfiguration(
            encoder,
            image_size,
            batch,
            strategy,
            last_n,
            rank,
            targets,
            layers,
            head,
            head_width,
            base,
            quantise,
            mixed_precision,
            "offload" if offload else checkpointing,
            feature_cache,
            optimiser,
            training=not inference,
        )
        memory = StepMemory(configuration)
        prediction = memory.predict(batch)
        holds = fits(prediction, gpu_gib)
        changes = [] if holds else advise(configuration, gpu_gib)
        found = {
            **_record(prediction),
            "gpu_gib": gpu_gib,
            "needed_gib": round(needed_gib(prediction.peak_gib), 3),
            "fits": holds,
            "largest_batch": largest_batch(memory, gpu_gib),
            "changes": [_change_record(change) for change in changes],
        }
        out = console_beside(json_file)
        if check:
            found["measured"] = _measured(prediction)
        _show(found, prediction, changes, out)
        if apply is not None:
            fitting = prediction if holds else next((c.prediction for c in changes if c.fits), None)
            if fitting is None:
                raise ValueError(f"{apply}: not written: expected a change that fits {gpu}, found none")
            _apply(fitting, apply)
            out.print(f"Settings: [bold]{apply}[/]", soft_wrap=True)
        if json_file is not None:
            write_json(found, json_file)


def _record(prediction: Prediction) -> dict[str, Any]:
    c = prediction.configuration
    return {
        "encoder": c.encoder,
        "image_size": prediction.image_size,
        "batch": prediction.batch,
        "strategy": c.strategy,
        "base": c.base,
        "quantise": c.quantise,
        "checkpointing": c.checkpointing,
        "feature_cache": c.feature_cache,
        "optimiser": c.optimiser,
        "trained_parameters": prediction.trained,
        "peak_gib": round(prediction.peak_gib, 3),
        "parts_gib": {part: round(value / 2**30, 3) for part, value in prediction.parts.items()},
        "gflops_per_image": round(prediction.flops / 1e9, 1),
    }


def _change_record(change: Change) -> dict[str, Any]:
    return {
        "change": change.words,
        "peak_gib": round(change.prediction.peak_gib, 3),
        "fits": change.fits,
        "largest_batch": change.largest_batch,
        "relative_speed": round(change.speed, 2),
        "same_training": change.same_training,
        "settings": change.prediction.overrides(),
    }


def _measured(prediction: Prediction) -> dict[str, Any]:
    """Run the step on the GPU and return its peak beside the prediction's error."""
    import torch

    from monai_lora_sam.memory import measure

    if not torch.cuda.is_available():
        raise ValueError("--check: expected a CUDA GPU, found none; without it the prediction stands alone")
    measured = measure(prediction.resolved())
    return {
        "peak_gib": round(measured.peak / 2**30, 3),
        "error_percent": round(100 * (prediction.peak / measured.peak - 1), 1),
        "device": measured.device,
        "seconds": round(measured.seconds, 3),
    }


def _show(found: dict[str, Any], prediction: Prediction, changes: list[Change], out: Console) -> None:
    table = Table(title="Predicted peak in GiB", box=box.SIMPLE, pad_edge=False)
    table.add_column("part")
    table.add_column("GiB", justify="right")
    for part, value in found["parts_gib"].items():
        table.add_row(part, f"{value:.2f}")
    table.add_row("[bold]peak[/]", f"[bold]{found['peak_gib']:.2f}[/]")
    out.print(table)
    verdict = "[green]fits[/]" if found["fits"] else "[red]does not fit[/]"
    out.print(
        f"{found['encoder']} at {found['image_size']}, batch {found['batch']}: {verdict} {found['gpu_gib']:g} GB "
        f"(needs {found['needed_gib']:.1f} with context and margin). Largest batch: {found['largest_batch']}."
    )
    if "measured" in found:
        measured = found["measured"]
        out.print(
            f"Measured on {measured['device']}: {measured['peak_gib']:.2f} GiB; "
            f"prediction {measured['error_percent']:+.1f} %."
        )
    if not changes:
        return
    table = Table(title="Changes, best first", box=box.SIMPLE, pad_edge=False)
    for column in ("change", "peak GiB", "fits", "largest batch", "relative speed", "same training"):
        table.add_column(column, justify="left" if column == "change" else "right")
    for change in changes:
        table.add_row(
            change.words,
            f"{change.prediction.peak_gib:.2f}",
            "yes" if change.fits else "no",
            str(change.largest_batch),
            f"{change.speed:.2f}",
            "yes" if change.same_training else "no",
        )
    out.print(table)


def _apply(prediction: Prediction, file: Path) -> None:
    """Write the settings of a prediction as YAML."""
    import yaml

    atomic_write(file, yaml.safe_dump(prediction.overrides(), sort_keys=False))
