"""The prompts of one object, from a command line or a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from monai_lora_sam.files import read_json

#: Entries of an object in a file of prompts.
KEYS = ("name", "box", "points", "slice", "text")


@dataclass(frozen=True)
class ObjectPrompt:
    """Show one object by a box, by points, by words, or by several of them.

    Attributes:
        name: of the object.
        box: (x0, y0, x1, y1) in pixels of the image, or None.
        points: (x, y, label), label 1 for the object and 0 for its surroundings.
        slice_index: of the slice that the prompts lie in, for a volume.
        text: a phrase that names the object, for a network that was taught words.

    Raises:
        ValueError: neither box, points nor text, or values of another form; the object is named.

    Example:
        >>> ObjectPrompt("kidney", box=(120, 187, 184, 250)).box
        (120.0, 187.0, 184.0, 250.0)
    """

    name: str
    box: tuple[float, ...] | None = None
    points: tuple[tuple[float, ...], ...] = ()
    slice_index: int | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if self.text is not None and not isinstance(self.text, str):
            raise ValueError(f"{self.name}: expected a text, found {self.text!r:.80}")
        if self.box is None and not self.points and self.text is None:
            raise ValueError(f"{self.name}: expected a box, points or text, found none of them")
        if self.box is not None:
            object.__setattr__(self, "box", self._numbers("box", self.box, (4,), "x0, y0, x1, y1"))
        points = []
        for point in self.points:
            x, y, *label = self._numbers("point", point, (2, 3), "x, y or x, y, label")
            if label and label[0] not in (0, 1):
                raise ValueError(f"{self.name}: expected a point's label to be 1 or 0, found {label[0]:g}")
            points.append((x, y, int(label[0]) if label else 1))
        object.__setattr__(self, "points", tuple(points))
        if self.slice_index is not None and (type(self.slice_index) is not int or self.slice_index < 0):
            raise ValueError(f"{self.name}: expected the index of a slice, found {self.slice_index!r}")

    def _numbers(self, kind: str, values: Any, counts: Sequence[int], form: str) -> tuple[float, ...]:
        plain = isinstance(values, list | tuple) and all(type(value) in (int, float) for value in values)
        if not plain or len(values) not in counts:
            raise ValueError(f"{self.name}: expected a {kind} as {form}, found {values!r:.80}")
        return tuple(map(float, values))

    def tensors(self) -> dict[str, Tensor]:
        """Return box and points as arguments of a promptable network, for one image and one prompt."""
        arguments = {}
        if self.box is not None:
            arguments["boxes"] = torch.tensor([[self.box]], dtype=torch.float32)
        if self.points:
            arguments["points"] = torch.tensor([[[point[:2] for point in self.points]]], dtype=torch.float32)
            arguments["point_labels"] = torch.tensor([[[point[2] for point in self.points]]])
        return arguments


@dataclass(frozen=True)
class Unprompted(ObjectPrompt):
    """Name an object that a network finds by itself.

    Example:
        >>> Unprompted("vessel").tensors()
        {}
    """

    def __post_init__(self) -> None:
        """Ask for neither box nor points."""


def read_prompts(path: str | Path) -> list[ObjectPrompt]:
    """Read the prompts of several objects from a JSON file.

    The file holds ``{"objects": [{"name": "left kidney", "box": [x0, y0, x1, y1]}, {"points": [[x, y, label]]}]}``,
    in pixels of the image; objects of volumes have a ``slice`` as well, and an object can have a ``text``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another form; the file and the object are named.
    """
    content = read_json(path)
    objects = content.get("objects")
    if not isinstance(objects, list) or not objects or not all(isinstance(one, dict) for one in objects):
        raise ValueError(f"{path}: expected a list of objects under 'objects', found {objects!r:.80}")
    prompts: list[ObjectPrompt] = []
    for number, one in enumerate(objects, 1):
        for key in one.keys() - set(KEYS):
            near = get_close_matches(key, KEYS, n=1)
            nearest = f" (nearest: {near[0]!r})" if near else ""
            raise ValueError(f"{path}: object {number}: expected the keys {KEYS}, found {key!r}{nearest}")
        name, points = one.get("name", f"object {number}"), one.get("points", [])
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{path}: object {number}: expected a name, found {name!r:.80}")
        if name in {prompt.name for prompt in prompts}:
            raise ValueError(f"{path}: object {number}: expected a name of its own, found {name!r} again")
        if not isinstance(points, list):
            raise ValueError(f"{path}: {name}: expected a list of points, found {points!r:.80}")
        try:
            prompts.append(
                ObjectPrompt(name, one.get("box"), tuple(points), one.get("slice"), one.get("text"))
            )
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return prompts
