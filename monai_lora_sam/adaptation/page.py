"""Write the report of an adaptation: scores before and after, curves, pictures, the command that uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_lora_sam.adaptation.comparison import AUTOMATIC_MODE
from monai_lora_sam.adaptation.request import AdaptationRequest
from monai_lora_sam.adaptation.training import TrainedAdapter
from monai_lora_sam.adapters import read_card
from monai_lora_sam.evaluation import labelled_objects, mask_file
from monai_lora_sam.images import read_colour_image, read_label
from monai_lora_sam.report import (
    Chart,
    Code,
    Facts,
    Gallery,
    Notes,
    Section,
    Series,
    Table,
    Text,
    Viewer,
    line_chart,
    mask_viewer,
    write_page,
)

if TYPE_CHECKING:
    from monai_lora_sam.adaptation.run import Adaptation

#: Kinds of prompt whose masks are kept and shown.
SHOWN_MODES = ("box", AUTOMATIC_MODE)
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
    caption = (
        f"Mean Dice on the {scored}, by the decoder's single mask. Gain with its 95 % interval over objects."
    )
    if request.automatic:
        caption = f"Mean Dice over the objects that are there, with its 95 % interval, on the {scored}."
    blocks: list[Any] = [_comparison_table(trained.comparison, caption)]
    notes = _notes(result)
    if notes:
        blocks.insert(0, Notes(notes))
    sections = [Section("Scores" if request.automatic else "Before and after", blocks)]
    if result.cross_validation:
        sections.append(Section("Cross-validation", [_folds_table(result.cross_validation)]))
    shown = [] if request.automatic else [Text("Masks for the tight box.")]
    sections += [
        Section("Use it", [Code(result.command)]),
        Section("Cases", [*shown, Gallery(_viewers(trained, result.data.class_names))]),
        Section("Training", [*_curves(trained.history), Facts(facts)]),
    ]
    write_page(
        path,
        f"Adapter {request.name}",
        sections,
        f"LoRA on {card['encoder']['name']}, {len(result.data.training)} training images",
    )


def _comparison_table(comparison: Sequence[Mapping[str, Any]], caption: str) -> Table:
    if "before" not in comparison[0]:
        rows = [
            [item["mode"], item["objects"], f"{item['after']:.3f}", _interval(item["after_interval"], ".3f")]
            for item in comparison
        ]
        return Table(["Object", "Objects", "Dice", "95 % interval"], rows, caption)
    return Table(
        ["Prompt", "Objects", "Before", "After", "Gain", "95 % interval", "Better"],
        [
            [
                item["mode"],
                item["objects"],
                f"{item['before']:.3f}",
                f"{item['after']:.3f}",
                f"{item['gain']:+.3f}",
                _interval(item["gain_interval"], "+.3f"),
                f"{item['better']} of {item['objects']}",
            ]
            for item in comparison
        ],
        caption,
    )


def _interval(ends: Sequence[float], form: str) -> str:
    return " to ".join(format(end, form) for end in ends)


def _folds_table(items: Sequence[Mapping[str, Any]]) -> Table:
    count = max(len(item["folds"]) for item in items)
    known = [key for key in ("before", "after") if key in items[0]]
    first = ["Prompt", "Objects", "Before", "After"] if "before" in known else ["Object", "Objects", "Dice"]
    return Table(
        [*first, *(f"Fold {number}" for number in range(1, count + 1))],
        [
            [
                item["mode"],
                item["objects"],
                *(f"{value:.3f}" for value in (*(item[key] for key in known), *item["folds"])),
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
    if not result.trained.before:
        notes.append("The base finds nothing without a prompt: there are no scores before the adaptation.")
    worse = [item["mode"] for item in result.trained.comparison if item.get("gain", 0) < 0]
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
        Chart(line_chart([Series("Dice", places, values)], "epoch", "validation Dice", False)),
    ]
    # A single value has no line.
    return [chart for chart, points in zip(charts, (epochs, places), strict=True) if len(points) > 1]


def _viewers(trained: TrainedAdapter, class_names: Sequence[str]) -> list[Viewer]:
    """Return the best, the median and the worst object after adaptation; with one or two objects fewer."""
    before, after = (
        {(row["image"], row["object"]): row for row in rows if row["mode"] in SHOWN_MODES}
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
        scored = {"after": (after, trained.after_folder)}
        if before:
            scored["before"] = (before, trained.before_folder)
        dice = ", ".join(
            f"{rows[image, name]['dice']:.3f} {when}" for when, (rows, _) in reversed(scored.items())
        )
        viewers.append(
            mask_viewer(
                pixels,
                next(thing.mask for thing in objects if thing.name == name),
                {
                    when: read_label(mask_file(folder, rows[image, name]), 2).astype(bool)
                    for when, (rows, folder) in scored.items()
                },
                f"{word}: {Path(image).name}, {name}, Dice {dice}",
            )
        )
    return viewers
