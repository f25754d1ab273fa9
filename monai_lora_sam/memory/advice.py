"""Find the largest batch that fits a GPU, and the changes that make a configuration fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from monai_lora_sam.memory.cards import needed_gib
from monai_lora_sam.memory.configuration import StepConfiguration
from monai_lora_sam.memory.prediction import Prediction, StepMemory

#: Batches beyond which none is looked for.
LARGEST_BATCH = 4096
#: Changes that fit after which no further one is tried: each takes seconds.
ENOUGH = 3


@dataclass(frozen=True)
class Change:
    """Hold a configuration that needs less memory.

    Attributes:
        words: the changes.
        prediction: of the changed configuration.
        fits: whether the GPU holds it.
        largest_batch: that fits; 0 for none.
        speed: images a second relative to the original, by floating point operations; 4-bit unpacking is not counted.
        same_training: the trained parameters and the images stay as they are.
    """

    words: str
    prediction: Prediction
    fits: bool
    largest_batch: int
    speed: float
    same_training: bool


def fits(prediction: Prediction, gpu_gib: float) -> bool:
    """Tell whether a GPU holds a step, with room for the context and the prediction's error."""
    return needed_gib(prediction.peak_gib) <= gpu_gib


def largest_batch(memory: StepMemory, gpu_gib: float) -> int:
    """Return the largest batch that fits, at most 4096; 0 for none."""
    least, most = 0, 1
    while most <= LARGEST_BATCH and fits(memory.predict(most), gpu_gib):
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        if middle <= LARGEST_BATCH and fits(memory.predict(middle), gpu_gib):
            least = middle
        else:
            most = middle
    return least


def advise(configuration: StepConfiguration, gpu_gib: float) -> list[Change]:
    """Return changes to a configuration that does not fit, best first.

    Those that fit come first, of them those that train the same parameters on the same images, then the faster ones.
    A change that fits nowhere is listed too, so that the distance shows.
    """
    original = StepMemory(configuration)
    changes: list[Change] = []
    found = largest_batch(original, gpu_gib)
    if 0 < found < configuration.batch:
        changes.append(Change(f"batch {found}", original.predict(found), True, found, 1.0, True))
    for words, same, changed in _candidates(configuration, original):
        if sum(change.fits for change in changes) >= ENOUGH:
            break
        try:
            memory = StepMemory(changed)
        except ValueError:  # an encoder that cannot be changed so: no linear layers, another size
            continue
        prediction = memory.predict(configuration.batch)
        most = largest_batch(memory, gpu_gib)
        speed = original.history.flops / memory.history.flops
        changes.append(Change(words, prediction, fits(prediction, gpu_gib), most, speed, same))
    return sorted(changes, key=_rank)


def _rank(change: Change) -> tuple[Any, ...]:
    """Return the place of a change; operations do not count the transfers of checkpoints, which cost time."""
    transfers = change.prediction.configuration.checkpointing == "offload"
    return not change.fits, not change.same_training, transfers, -change.speed, change.prediction.peak


def _candidates(c: StepConfiguration, original: StepMemory) -> Iterator[tuple[str, bool, StepConfiguration]]:
    """Yield words, whether the training stays the same, and the changed configuration; small changes first."""
    words: list[str] = []
    side, last = original.image_size, original.blocks // 4
    if not c.training:
        if c.base == "float32" and c.quantise is None:
            c = replace(c, base="bfloat16")
            yield "base in bfloat16", True, c
        yield "half the image size", False, replace(c, image_size=_half(side))
        return
    if not c.checkpointing:
        c = replace(c, checkpointing=True)
        words.append("checkpointing")
        yield words[0], True, c
    if c.strategy in ("full", "last_n"):
        if c.optimiser == "adamw":
            c = replace(c, optimiser="adamw_8bit")
            words.append("8-bit optimiser")
            yield ", ".join(words), True, c
        c = replace(c, strategy="lora", optimiser="adamw")
        words = [word for word in words if word != "8-bit optimiser"] + ["LoRA"]
        yield ", ".join(words), False, c
    if c.base == "float32" and c.quantise is None:
        c = replace(c, base="bfloat16")
        words.append("base in bfloat16")
        yield ", ".join(words), "LoRA" not in words, c
    same = "LoRA" not in words
    if c.quantise is None:
        yield ", ".join([*words, "4-bit base"]), same, replace(c, quantise="nf4")
    if c.checkpointing is True:
        yield ", ".join([*words, "checkpoints on the CPU"]), same, replace(c, checkpointing="offload")
    if c.strategy == "lora" and c.layers is None and last:
        of_last = f"LoRA in the last {last} blocks, features before them cached"
        yield ", ".join([*words, of_last]), False, replace(c, layers=last, feature_cache=True)
    if c.strategy == "lora":
        yield ", ".join([*words, "encoder frozen"]), False, replace(c, strategy="frozen")
    yield ", ".join([*words, "half the image size"]), False, replace(c, image_size=_half(side))


def _half(side: int) -> int:
    """Return half a side, or near it, that patches of 14, 16 and 32 pixels take where they take the whole."""
    patch = next((patch for patch in (64, 32, 28, 16, 14) if side % patch == 0), 1)
    return max(patch, round(side / 2 / patch) * patch)
