"""Find the tensors of an encoder in a checkpoint, and give them the encoder's own names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from monai_lora_sam.encoders.checkpoints import Checkpoint
from monai_lora_sam.encoders.registry import ENCODERS, CheckpointForm, EncoderEntry


def find_forms(checkpoint: Checkpoint, forms: Iterable[CheckpointForm]) -> list[tuple[CheckpointForm, str]]:
    """Return each form that a checkpoint has, with the prefix of the encoder's names in it."""
    return [
        (form, match["prefix"])
        for form in forms
        for name in checkpoint.names
        if (match := re.fullmatch(form.mark, name))
    ]


def read_tensors(checkpoint: Checkpoint, name: str) -> dict[str, Tensor]:
    """Read the tensors of a named encoder alone, under its own names.

    Raises:
        ValueError: the checkpoint holds no such encoder, or several; encoders that it fits are named.
    """
    entry: EncoderEntry = ENCODERS.load(name)
    if not entry.forms:
        return checkpoint.read(checkpoint.names)
    found = find_forms(checkpoint, entry.forms)
    if len(found) != 1:
        raise ValueError(f"{checkpoint.source}: {_mismatch(checkpoint, name, entry, len(found))}")
    form, prefix = found[0]
    names = [key for key in checkpoint.names if key.startswith(prefix)]
    tensors: dict[str, Tensor] = {}
    for key, tensor in checkpoint.read(names).items():
        renamed = form.rename(key.removeprefix(prefix))
        if renamed is not None:
            tensors |= form.split(renamed, tensor)
    return tensors


def fill_tensors(checkpoint: Checkpoint, name: str, config: Any) -> dict[str, Tensor]:
    """Return the tensors that the checkpoint's form lacks, made from the encoder's configuration; mostly none."""
    entry: EncoderEntry = ENCODERS.load(name)
    made = [form.fill(config) for form, _ in find_forms(checkpoint, entry.forms) if form.fill is not None]
    return {key: tensor for tensors in made for key, tensor in tensors.items()}


def _mismatch(checkpoint: Checkpoint, name: str, entry: EncoderEntry, count: int) -> str:
    expected = f"expected weights of family {entry.family!r} for {name!r}, found"
    others: dict[str, EncoderEntry] = {other: ENCODERS.load(other) for other in ENCODERS.names()}
    fitting = {
        other: candidate.family
        for other, candidate in others.items()
        if candidate.family != entry.family and len(find_forms(checkpoint, candidate.forms)) == 1
    }
    if fitting and not count:
        family = next(iter(fitting.values()))
        names = [repr(other) for other, found in fitting.items() if found == family]
        return f"{expected} family {family!r}, which fits {' or '.join(names)}."
    shown = ", ".join(sorted(checkpoint.names)[:5])
    return (
        f"{expected} {count} encoders in a known form. Its {len(checkpoint.names)} names begin with: {shown}."
    )
