"""Write the report of an adaptation: scores before and after, curves, pictures, the command that uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_lora_sam.adaptation.request import AdaptationRequest
from monai_lora_sam.adaptation.training import TrainedAdapter
from monai_lora_sam.adapters import read_card
from monai_lora_sam.evaluation import labelled_objects, mask_file
from monai_lora_sam.images import read_colour_image, read_label
from monai_lora_sam.report import (
    Chart,
    Facts,
    Gallery,
    Notes,
    Section,
    Series,
    Table,
    Text,
    Viewer,
    data_uri,
    line_chart,
    outline,
    png,
    svg,
    write_page,
)

if TYPE_CHECKING:
    from monai_lora_sam.adaptation.run import Adaptation

COLOURS = {"truth": "#35c759", "before": "#4aa8ff", "after": "#ff5a36"}
#: Kind of prompt whose masks are shown.
SHOWN_MODE = "box"
#: Held-out objects below which a mean says little.
FEW_OBJECTS = 10


def write_adaptation_page(path: Path, request: AdaptationRequest, result: Adaptation) -> None:
    """Write the page of an adaptation.

    Args:
        path: file to write.
        request: arguments of the adaptation.
        result: its results.
    """
    trained, plan = result.trained, result.plan
    card = read_card(result.adapter)
    objects = ", ".join(f"{name} ({count})" for name, count in result.facts.objects.items())
    facts = {
        "Data": f"{result.facts.images} images of {result.facts.cases} cases: {objects}",
        "Split": f"{len(result.data.training)} training, {len(result.data.validation)} validation, "
        f"{len(result.data.test)} test images; no case in two of them",
        "Base": f"{card['encoder']['name']}, {plan.image_size} px, "
        f"{card['encoder'].get('quantisation') or 'full precision'}",
        "Trained": f"{trained.parameters:,} parameters, {len(trained.history)} epochs, best after {card['epoch']}",
        "Plan": f"batch {plan.batch_size}, {plan.step_s:.2f} s a step measured, {request.minutes:g} min asked for",
    }
    scored = "test images" if result.data.test else "validation images, which also chose the best epoch"
    blocks: list[Any] = [
        _comparison_table(
            trained.comparison,
            f"Mean Dice on the {scored}, by the decoder's single mask. Gain with its 95 % interval over objects.",
        )
    ]
    notes = _notes(result)
    if notes:
        blocks.insert(0, Notes(notes))
    sections = [Section("Before and after", blocks)]
    if result.cross_validation:
        sections.append(Section("Cross-validation", [_folds_table(result.cross_validation)]))
    sections += [
        Section("Use it", [Text(result.command)]),
        Section(
            "Cases", [Text("Masks for the tight box."), Gallery(_viewers(trained, result.data.class_names))]
        ),
        Section("Training", [*_curves(trained.history), Facts(facts)]),
    ]
    write_page(
        path,
        f"Adapter {request.name}",
        sections,
        f"LoRA on {card['encoder']['name']}, {len(result.data.training)} training images",
    )


def _comparison_table(comparison: Sequence[Mapping[str, Any]], caption: str) -> Table:
    return Table(
        ["Prompt", "Objects", "Before", "After", "Gain", "95 % interval", "Better"],
        [
            [
                item["mode"],
                item["objects"],
                f"{item['before']:.3f}",
                f"{item['after']:.3f}",
                f"{item['gain']:+.3f}",
                f"{item['gain_interval'][0]:+.3f} to {item['gain_interval'][1]:+.3f}",
                f"{item['better']} of {item['objects']}",
            ]
            for item in comparison
        ],
        caption,
    )


def _folds_table(items: Sequence[Mapping[str, Any]]) -> Table:
    count = max(len(item["folds"]) for item in items)
    return Table(
        ["Prompt", "Objects", "Before", "After", *(f"Fold {number}" for number in range(1, count + 1))],
        [
            [
                item["mode"],
                item["objects"],
                *(f"{value:.3f}" for value in (item["before"], item["after"], *item["folds"])),
            ]
            for item in items
        ],
        "Mean Dice over the objects of all folds, each held out once, and after adaptation in each fold.",
    )


def _notes(result: Adaptation) -> list[str]:
    """Return remarks that must not be overlooked."""
    notes = list(result.data.notes)
    scored = len({(row["image"], row["object"]) for row in result.trained.after})
    if scored < FEW_OBJECTS:
        notes.append(f"{scored} objects are held out: these means are rough. Give more cases, or --folds 5.")
    if len(result.trained.scored) < len(result.data.held_out):
        notes.append(
            f"{len(result.trained.scored)} of {len(result.data.held_out)} held-out images, evenly spaced, were scored."
        )
    if result.plan.limit:
        notes.append(f"{result.plan.limit} of {len(result.data.training)} training images fit the time.")
    worse = [item["mode"] for item in result.trained.comparison if item["gain"] < 0]
    if worse:
        notes.append(f"Worse than the base by {', '.join(worse)}: use the base there, or train longer.")
    return notes


def _curves(history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    epochs = [line["epoch"] for line in history]
    dice = [(line["epoch"], line["val_dice"]) for line in history if "val_dice" in line]
    places, values = [epoch for epoch, _ in dice], [value for _, value in dice]
    charts = [
        Chart(
            line_chart([Series("loss", epochs, [line["loss"] for line in history])], "epoch", "training loss")
        ),
        Chart(line_chart([Series("Dice", places, values)], "epoch", "validation Dice, all prompts", False)),
    ]
    # A single value has no line.
    return [chart for chart, points in zip(charts, (epochs, places), strict=True) if len(points) > 1]


def _viewers(trained: TrainedAdapter, class_names: Sequence[str]) -> list[Viewer]:
    """Return the best, the median and the worst object after adaptation; with one or two objects fewer."""
    before, after = (
        {(row["image"], row["object"]): row for row in rows if row["mode"] == SHOWN_MODE}
        for rows in (trained.before, trained.after)
    )
    ranked = sorted(after, key=lambda key: after[key]["dice"])
    chosen = {"best": ranked[-1]}
    if len(ranked) > 2:
        chosen["median"] = ranked[len(ranked) // 2]
    if len(ranked) > 1:
        chosen["worst"] = ranked[0]
    entries = {entry["image"]: entry for entry in trained.scored}
    viewers = []
    for word, (image, name) in chosen.items():
        pixels = np.rint(np.clip(read_colour_image(image).pixels, 0, 1) * 255).astype(np.uint8)
        objects, _ = labelled_objects(entries[image], class_names, smallest=1)
        masks = {
            "after": read_label(mask_file(trained.after_folder, after[image, name]), 2).astype(bool),
            "before": read_label(mask_file(trained.before_folder, before[image, name]), 2).astype(bool),
            "truth": next(thing.mask for thing in objects if thing.name == name),
        }
        lines = {key: outline(mask, COLOURS[key]) for key, mask in masks.items()}
        shape = pixels.shape[:2]
        viewers.append(
            Viewer(
                base=data_uri(png(pixels)),
                base_label="Image",
                layers={
                    "After": svg(shape, [lines["truth"], lines["after"]]),
                    "Before": svg(shape, [lines["truth"], lines["before"]]),
                    "Truth": svg(shape, [lines["truth"]]),
                },
                caption=f"{word}: {Path(image).name}, {name}, Dice {before[image, name]['dice']:.3f} before, "
                f"{after[image, name]['dice']:.3f} after",
                legend=COLOURS,
            )
        )
    return viewers
