"""Write the page of a demonstration: predictions beside the truth, and the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_lora_sam.report import (
    Chart,
    Facts,
    Gallery,
    Section,
    Series,
    Viewer,
    data_uri,
    grey,
    line_chart,
    outline,
    png,
    svg,
    write_page,
)

TRUTH_COLOUR = "#39c6ff"
PREDICTION_COLOUR = "#ffd400"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Hold an image (H, W) in 0..1, its true and predicted masks (H, W) of bool, and their Dice, 0..1."""

    name: str
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    dice: float


def write_demo_report(
    folder: Path,
    comparisons: Sequence[Comparison],
    loss_per_epoch: Sequence[float],
    validation_dice_per_epoch: Sequence[float] = (),
    facts: Mapping[str, Any] | None = None,
    own: Sequence[Section] = (),
    first: Sequence[Section] = (),
) -> None:
    """Write `report.html` of a demonstration.

    Args:
        folder: folder to write to.
        comparisons: images with truth and prediction.
        loss_per_epoch: training loss.
        validation_dice_per_epoch: Dice on the validation images.
        facts: further figures by name, such as seconds and numbers of images.
        own: sections of the user's own image, as `result_sections` gives them.
        first: sections that stand before all others.

    Example:
        >>> write_demo_report(Path("demo_output"), comparisons, [0.9, 0.5, 0.4], facts={"Training (s)": 81.0})
    """
    figures = dict(facts or {})
    if comparisons:
        figures["Mean Dice of the pictures"] = f"{np.mean([one.dice for one in comparisons]):.3f}"
    blocks: list = [Facts(figures), Gallery([_viewer(one) for one in comparisons])]
    sections = [Section("Synthetic angiograms: truth and prediction", blocks)]
    epochs = list(range(1, len(loss_per_epoch) + 1))
    charts = [Chart(line_chart([Series("training loss", epochs, loss_per_epoch)], "epoch", "training loss"))]
    if validation_dice_per_epoch:
        epochs = list(range(1, len(validation_dice_per_epoch) + 1))
        line = Series("Dice", epochs, validation_dice_per_epoch)
        charts.append(Chart(line_chart([line], "epoch", "Dice on validation images")))
    sections.append(Section("Training", charts))
    write_page(
        Path(folder) / "report.html",
        "Demonstration",
        [*first, *sections, *own],
        "Organs by boxes, and a vessel adapter trained just now",
    )


def _viewer(one: Comparison) -> Viewer:
    truth, prediction = outline(one.truth, TRUTH_COLOUR), outline(one.prediction, PREDICTION_COLOUR)
    return Viewer(
        base=data_uri(png(grey(one.image))),
        base_label="Image",
        layers={
            "Both": svg(one.image.shape, [truth, prediction]),
            "Truth": svg(one.image.shape, [truth]),
            "Prediction": svg(one.image.shape, [prediction]),
        },
        caption=f"{one.name}: Dice {one.dice:.3f}",
        legend={"truth": TRUTH_COLOUR, "prediction": PREDICTION_COLOUR},
    )
