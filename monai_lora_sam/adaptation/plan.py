"""Plan a training for a machine and a time from one measured step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from monai_lora_sam.adaptation.comparison import MOST_SCORED
from monai_lora_sam.adaptation.measured_step import StepBuilder, automatic_step, prompted_step

#: Share of the time that is planned; the rest is for loading and writing.
PLANNED_SHARE = 0.8
#: Most passes over the images, of which few images in much time would get more.
MOST_EPOCHS = 200
#: Validations in a training.
VALIDATIONS = 10
#: Steps below which a smaller side is tried, and the smallest side in pixels that is.
FEWEST_STEPS, SMALLEST_SIDE = 40, 256
#: Share of the time above which a first step is long enough to be the measure itself.
LONG_STEP = 0.02
#: Images a step where nothing else is asked for. A CPU is no faster with more, and each takes 2 GB at the default base.
BATCH, CPU_BATCH = 4, 2


@dataclass(frozen=True)
class Plan:
    """Hold the settings of a training that fit a machine.

    Attributes:
        image_size: side in pixels of the square that images are scaled into.
        batch_size: images a step.
        epochs: passes over the images.
        val_interval: epochs between validations.
        limit: number of images to train on where one pass over all does not fit; None for all.
        step_s: seconds of one step, as measured.
    """

    image_size: int
    batch_size: int
    epochs: int
    val_interval: int
    limit: int | None
    step_s: float

    @property
    def settings(self) -> dict[str, Any]:
        """The keys of the bundle that the plan sets."""
        keys = ("image_size", "batch_size", "epochs", "val_interval", "limit")
        return {key: getattr(self, key) for key in keys}


def make_plan(
    settings: Mapping[str, Any],
    images: int,
    validation: int,
    minutes: float,
    device: torch.device,
    maps: int | None = None,
) -> Plan:
    """Measure one training step and choose side, batch and number of epochs.

    The side is the encoder's own, halved (down to 256) while the time has room for fewer than 40 steps. The batch is 4,
    or 2 on a CPU, or fewer where there are fewer images, and is halved while it does not fit the memory of a GPU.
    Validations, the scores of both networks and the measurement itself count as well.

    Args:
        settings: keys of the bundle that are given, such as `encoder_name`, `pretrained`, `quantise`; those that a plan
            sets are kept as given.
        images: number of training images.
        validation: number of images of a validation.
        minutes: for the whole training.
        device: of the training.
        maps: number of maps of a head that needs no prompt; None for prompts.

    Raises:
        ValueError: no image or no time, or weights that do not fit.
        MemoryError: a batch of one image is too large for the GPU.

    Example:
        >>> plan = make_plan({"encoder_name": "mini"}, 16, 4, 10, torch.device("cpu"))  # doctest: +SKIP
        >>> plan.epochs  # doctest: +SKIP
        60
    """
    if images < 1 or not minutes > 0:
        raise ValueError(f"expected images and minutes above 0, found {images} images and {minutes} minutes")
    started = time.perf_counter()
    planned_s = PLANNED_SHARE * 60 * minutes
    batch = min(settings.get("batch_size") or (CPU_BATCH if device.type == "cpu" else BATCH), images)
    long_s = LONG_STEP * 60 * minutes
    build = partial(prompted_step, settings) if maps is None else partial(automatic_step, settings, maps)
    side, step = _measure(build, settings.get("image_size"), batch, device, long_s)
    while step == math.inf and batch > 1:
        batch //= 2
        side, step = _measure(build, side, batch, device, long_s)
    while (
        settings.get("image_size") is None and step * FEWEST_STEPS > planned_s and side // 2 >= SMALLEST_SIDE
    ):
        side, step = _measure(build, side // 2, batch, device, long_s)
    if step == math.inf:
        raise MemoryError(f"out of memory at {side} pixels with one image: choose a smaller --image-size")
    planned_s -= time.perf_counter() - started
    # Without a backward pass an image takes a third of its share of a step.
    check_s = validation * step / batch / 3
    scored = 1 if maps else 2  # networks: without prompts the base finds nothing
    planned_s -= scored * min(validation, MOST_SCORED) / max(1, validation) * check_s
    pass_steps = images // batch
    epochs = max(0, int(planned_s / (pass_steps * step + check_s)))
    if epochs > VALIDATIONS:
        epochs = min(MOST_EPOCHS, int((planned_s - VALIDATIONS * check_s) / (pass_steps * step)))
    limit = None if epochs else batch * max(1, int((planned_s - check_s) / step))
    epochs = max(1, epochs)
    interval = max(1, epochs // VALIDATIONS)
    # The last validation is that of the last epoch.
    plan = Plan(side, batch, epochs - epochs % interval, interval, limit, round(step, 3))
    given = {key: settings[key] for key in plan.settings if settings.get(key) is not None}
    chosen = {**plan.__dict__, **given}
    return Plan(**{**chosen, "val_interval": min(chosen["val_interval"], chosen["epochs"])})


def _measure(
    build: StepBuilder, side: int | None, batch: int, device: torch.device, long_s: float
) -> tuple[int, float]:
    """Return the side and the seconds of a step; infinite where memory runs out.

    The first step prepares memory, and a second one is timed, unless the first takes longer than `long_s` seconds.
    """
    side, step = build(side, batch, device)

    def seconds() -> float:
        started = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    try:
        first = seconds()
        return side, first if first > long_s else seconds()
    except torch.OutOfMemoryError:
        return side, math.inf
