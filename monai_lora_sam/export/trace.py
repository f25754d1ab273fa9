"""Trace a part by torch.export, with axes of any length where its architecture allows."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from monai_lora_sam.export.parts import SIZE, ExportPart

#: Most pixels of a side, in multiples of the patch, that a traced model takes.
MOST_PATCHES = 512


def trace(part: ExportPart) -> tuple[ExportedProgram, bool]:
    """Return the traced part, and whether rows and columns are dynamic in it.

    Rows and columns become dynamic where the module can be traced so, else they are those of the encoder's square.

    Raises:
        ValueError: a module that cannot be traced at all; the reason is given.
    """
    reason: Exception | None = None
    for sized in (True, False) if part.sized else (False,):
        example = part.example
        if part.sized and not sized:
            side = min(example[0].shape[-2:])
            example = (example[0][..., :side, :side].contiguous(), *example[1:])
        try:
            with torch.no_grad():
                program = torch.export.export(
                    part.module, example, dynamic_shapes=_dynamic_shapes(part, sized), strict=False
                )
            return program, sized
        except Exception as error:  # torch.export raises errors of many types for what it cannot trace
            reason = error
    line = " ".join(str(reason).split())
    raise ValueError(f"{part.name}: expected a network that torch.export can trace: {line:.300}") from reason


def _dynamic_shapes(part: ExportPart, sized: bool) -> tuple[Any, ...]:
    dims: dict[str, Any] = {}
    for axes in part.inputs.values():
        for name in axes:
            if name in SIZE and sized:
                whole = Dim(f"{name}_in_patches", min=2, max=MOST_PATCHES)
                dims.setdefault(name, part.multiple * whole if part.multiple > 1 else whole)
            elif name and name not in SIZE:
                dims.setdefault(name, Dim(name))
    shapes = [
        {number: dims[name] for number, name in enumerate(axes) if name in dims}
        for axes in part.inputs.values()
    ]
    # A module with `*prompt` takes its further inputs as one tuple.
    return (shapes[0],) if len(shapes) == 1 else (shapes[0], tuple(shapes[1:]))
