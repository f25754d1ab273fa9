"""Read the prompts of a request in the forms that OHIF, 3D Slicer and scripts send."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from label_app.errors import Refused
from monai_lora_sam.prompting import ObjectPrompt

#: Most objects of one request.
LIMIT = 255


def prompts_of(request: Mapping[str, Any], depth: int | None = None) -> list[ObjectPrompt]:
    """Return the objects that a request shows.

    A script sends ``objects``, a list of ``{"name", "box": [x0, y0, x1, y1], "points": [[x, y, label]], "slice"}``.
    OHIF and Slicer send the points of one object as ``foreground`` and ``background``, lists of [x, y, slice], and
    Slicer a box as ``roi``.

    Args:
        request: of an inference task.
        depth: number of slices of a volume; None for a picture.

    Raises:
        Refused: no prompt, another form, or points of one object in several slices.

    Example:
        >>> prompts_of({"foreground": [[20, 30, 0]], "background": []})[0].points
        ((20.0, 30.0, 1),)
    """
    objects = _value(request, "objects")
    try:
        if objects:
            found = [_object(number, one) for number, one in enumerate(_items("objects", objects), 1)]
        else:
            found = [_single(request, depth)]
    except ValueError as error:
        raise Refused(str(error)) from error
    if len(found) > LIMIT:
        raise Refused(f"objects: expected up to {LIMIT}, found {len(found)}")
    if len({one.name for one in found}) < len(found):
        raise Refused(f"objects: expected a name of its own for each, found {[one.name for one in found]}")
    for one in found:
        if depth is None and one.slice_index not in (None, 0):
            raise Refused(f"{one.name}: expected no slice of a picture, found {one.slice_index}")
        if depth is not None and not 0 <= (-1 if one.slice_index is None else one.slice_index) < depth:
            raise Refused(f"{one.name}: expected a slice from 0 to {depth - 1}, found {one.slice_index}")
    return found if depth is not None else [replace(one, slice_index=None) for one in found]


def slices_of(request: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the first and the last slice that a request wants, from ``slices`` or Slicer's ``roi``; None for all."""
    given = _value(request, "slices")
    if given:
        first, last = _numbers("slices", given, (2,))
        return int(first), int(last)
    roi = _value(request, "roi")
    if roi and len(roi) == 6:
        return int(roi[4]), int(roi[5])
    return None


def box_of_roi(roi: Any) -> tuple[float, float, float, float]:
    """Return (x0, y0, x1, y1) of a region of interest of four or six numbers.

    Slicer sends [x0, x1, y0, y1, z0, z1]; others send [x0, y0, x1, y1], which counts where it makes a box of four
    numbers.

    Raises:
        Refused: neither order makes a box.

    Example:
        >>> box_of_roi([10, 60, 20, 90, 3, 5]), box_of_roi([10, 20, 60, 90])
        ((10.0, 20.0, 60.0, 90.0), (10.0, 20.0, 60.0, 90.0))
    """
    numbers = _numbers("roi", roi, (4, 6))
    a, b, c, d = numbers[:4]
    slicer, corners = (a, c, b, d), (a, b, c, d)
    for box in (slicer, corners) if len(numbers) == 6 else (corners, slicer):
        if box[0] < box[2] and box[1] < box[3]:
            return box
    raise Refused(f"roi: expected x0 < x1 and y0 < y1, found {numbers}")


def _single(request: Mapping[str, Any], depth: int | None) -> ObjectPrompt:
    points, slices = [], []
    for key, label in (("foreground", 1), ("background", 0)):
        for point in _items(key, _value(request, key) or []):
            x, y, *place = _numbers(key, point, (2, 3))
            points.append((x, y, label))
            slices += [round(place[0])] if place else []
    roi, box = _value(request, "roi"), None
    if roi:
        box = box_of_roi(roi)
        if len(roi) == 6 and not slices:
            slices = [round((roi[4] + roi[5]) / 2)]
    if len(set(slices)) > 1:
        raise Refused(
            f"expected the points of one object in one slice, found the slices {sorted(set(slices))}"
        )
    name = str(_value(request, "label_name") or "object")
    return ObjectPrompt(name, box, tuple(points), slices[0] if slices and depth is not None else None)


def _object(number: int, one: Any) -> ObjectPrompt:
    if not isinstance(one, Mapping) or set(one) - {"name", "box", "points", "slice"}:
        raise Refused(f"object {number}: expected name, box, points and slice, found {one!r:.80}")
    points = tuple(tuple(point) for point in _items("points", one.get("points") or []))
    box = one.get("box")
    return ObjectPrompt(str(one.get("name") or f"object {number}"), box, points, one.get("slice"))


def _value(request: Mapping[str, Any], key: str) -> Any:
    """Return an entry; Slicer's own form sends lists as text."""
    value = request.get(key)
    if not isinstance(value, str) or key == "label_name":
        return value
    try:
        return json.loads(value) if value.strip() else None
    except json.JSONDecodeError as error:
        raise Refused(f"{key}: expected a list, found {value!r:.80}") from error


def _items(key: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(one, list | tuple | Mapping) for one in value
    ):
        raise Refused(f"{key}: expected a list of points or objects, found {value!r:.80}")
    return value


def _numbers(key: str, value: Any, counts: tuple[int, ...]) -> list[float]:
    plain = isinstance(value, list | tuple) and all(type(one) in (int, float) for one in value)
    if not plain or len(value) not in counts:
        raise Refused(f"{key}: expected {' or '.join(map(str, counts))} numbers, found {value!r:.80}")
    return [float(one) for one in value]
