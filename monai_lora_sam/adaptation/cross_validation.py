"""Cross-validate an adaptation: each part of the cases is held out once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from monai_lora_sam.adaptation.comparison import Rows, summarise_rows
from monai_lora_sam.adaptation.plan import Plan
from monai_lora_sam.adaptation.request import AdaptationRequest
from monai_lora_sam.adaptation.sources import AdaptationData
from monai_lora_sam.adaptation.training import Watch, train_and_score
from monai_lora_sam.data import folds, write_datalist


def cross_validate(
    request: AdaptationRequest, data: AdaptationData, plan: Plan, device: torch.device, watch: Watch
) -> list[dict[str, Any]]:
    """Train and score one adapter for each fold of training and validation cases; return the scores over all folds.

    Args:
        request: with `folds`.
        data: whose training and validation images are divided by case; test images stay out.
        plan: of one fold.
        device: of the training.
        watch: follows the scoring.

    Returns:
        items of `TrainedAdapter.comparison` over the objects of all folds, with `folds`: the mean Dice
        after adaptation in each fold.

    Raises:
        ValueError: fewer cases than folds.
    """
    assert request.folds is not None  # the caller asks for folds
    before: Rows = []
    after: Rows = []
    each: list[dict[str, float]] = []
    for number, split in enumerate(folds([*data.training, *data.validation], request.folds, request.seed), 1):
        folder = request.out / "folds" / str(number)
        datalist = write_datalist(
            folder / "data" / "datalist.json",
            name=f"fold {number}",
            task="objects",
            class_names=data.class_names,
            splits=split,
        )
        found = train_and_score(
            replace(request, folds=None),
            datalist,
            data.class_names,
            split["validation"],
            plan,
            folder,
            device,
            watch,
        )
        before += found.before
        after += found.after
        each.append({item["mode"]: item["after"] for item in found.comparison})
    return [
        {**item, "folds": [fold[item["mode"]] for fold in each if item["mode"] in fold]}
        for item in summarise_rows(before, after)
    ]
