"""Adapt a promptable network to labelled images, from the files to the report."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from monai_lora_sam.adaptation.checking import DataFacts, check_data
from monai_lora_sam.adaptation.cross_validation import cross_validate
from monai_lora_sam.adaptation.page import write_adaptation_page
from monai_lora_sam.adaptation.plan import Plan, make_plan
from monai_lora_sam.adaptation.request import AdaptationRequest
from monai_lora_sam.adaptation.sources import AdaptationData, open_data
from monai_lora_sam.adaptation.training import TrainedAdapter, Watch, train_and_score
from monai_lora_sam.data import few_shot
from monai_lora_sam.files import atomic_folder, atomic_write, check_output_folder, read_json
from monai_lora_sam.networks import choose_device


@dataclass(frozen=True)
class Adaptation:
    """Hold the results of an adaptation.

    Attributes:
        adapter: folder of the adapter, as `segment --adapter` reads it.
        page: the report.
        command: that segments an image with the adapter.
        data, facts, plan, trained: the steps on the way.
        cross_validation: items of :func:`cross_validate`; empty without folds.
        seconds: of this run.
    """

    adapter: Path
    page: Path
    command: str
    data: AdaptationData
    facts: DataFacts
    plan: Plan
    trained: TrainedAdapter
    cross_validation: list[dict[str, Any]]
    seconds: float


def adapt(
    request: AdaptationRequest,
    tell: Callable[[str], Any] = lambda line: None,
    watch: Watch = lambda items, done, count: None,
) -> Adaptation:
    """Check the data, plan for the machine, train an adapter, compare it with its base, and write a report.

    A run that was killed goes on when it is called again with the same request.

    Args:
        request: data, base, time.
        tell: gets a line for each step.
        watch: follows reading and scoring.

    Returns:
        The results; `adapter`, `report.html`, `command.txt` and `result.json` are in the request's folder.

    Raises:
        DatasetError: all problems of the data together.
        ValueError: too few cases, weights that do not fit, or a folder with a training of other settings.

    Example:
        >>> adapt(AdaptationRequest(Path("images"), Path("masks"), "liver_ct", Path("liver_ct")))  # doctest: +SKIP
    """
    started = time.perf_counter()
    out = request.out
    check_output_folder(out)
    device = choose_device(request.device)
    data = open_data(
        request.images,
        request.masks,
        out / "data",
        class_names=request.class_names,
        modality=request.modality,
        seed=request.seed,
        progress=lambda done, count: watch("prepared", done, count),
    )
    facts = check_data(
        data.entries, data.class_names, lambda done, count: watch("checked images", done, count)
    )
    objects = ", ".join(f"{count} {name}" for name, count in facts.objects.items())
    tell(f"data: {facts.images} images of {facts.cases} cases with {objects}")
    training = data.training
    if request.keys.get("few_shot"):
        training = few_shot(training, request.keys["few_shot"], request.seed)
    maps = len(data.class_names) if request.automatic else None
    plan = _planned(request, len(training[: request.keys.get("limit")]), len(data.validation), device, maps)
    tell(
        f"plan: {len(training)} images to train on, {len(data.validation)} to validate, {plan.image_size} px, batch "
        f"{plan.batch_size}, {plan.epochs} epoch{'s' * (plan.epochs > 1)}, {plan.step_s:.2f} s a step on {device}"
    )
    if plan.limit:
        tell(f"note: {plan.limit} of {len(training)} images fit the time; give more --minutes for all")
    validated = cross_validate(request, data, plan, device, watch) if request.folds else []
    trained = train_and_score(
        request, data.datalist, data.class_names, data.held_out, plan, out, device, watch
    )
    adapter = out / "adapter"
    with atomic_folder(adapter) as temporary:
        shutil.copytree(trained.folder, temporary, dirs_exist_ok=True)
    command = _command(request)
    atomic_write(out / "command.txt", command + "\n")
    page = out / "report.html"
    result = Adaptation(
        adapter, page, command, data, facts, plan, trained, validated, time.perf_counter() - started
    )
    write_adaptation_page(page, request, result)
    summary = {
        "name": request.name,
        "plan": asdict(plan),
        "parameters": trained.parameters,
        "comparison": trained.comparison,
        "cross_validation": validated,
        "seconds": round(result.seconds, 1),
        "command": command,
    }
    atomic_write(out / "result.json", json.dumps(summary, indent=1))
    return result


def _planned(
    request: AdaptationRequest, images: int, validation: int, device: torch.device, maps: int | None
) -> Plan:
    """Return the plan of an earlier call with the same arguments, since measured times differ, or make one."""
    path = request.out / "plan.json"
    asked = {
        "keys": {key: value for key, value in sorted(request.keys.items())},
        "images": [images, validation],
        "minutes": request.minutes,
        "folds": request.folds,
        "device": str(device),
        "maps": maps,
    }
    asked = json.loads(json.dumps(asked, default=str))
    if path.is_file():
        found = read_json(path)
        if found.get("asked") == asked:
            return Plan(**found["plan"])
    # The adapter itself is one training more than there are folds.
    minutes = request.minutes / ((request.folds or 0) + 1)
    plan = make_plan(request.keys, images, validation, minutes, device, maps)
    atomic_write(path, json.dumps({"asked": asked, "plan": asdict(plan)}, indent=1))
    return plan


def _command(request: AdaptationRequest) -> str:
    weights = request.keys.get("pretrained", True)
    more = ["--weights", str(weights)] if isinstance(weights, str) else []
    prompt = [] if request.automatic else ["--box", "X0,Y0,X1,Y1"]
    words = ["monai-lora-sam", "segment", "IMAGE", *prompt, "--adapter", str(request.out), *more]
    return shlex.join([*words, "--out", "results"])
