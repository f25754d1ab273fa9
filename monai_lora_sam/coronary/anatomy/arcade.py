"""ARCADE's category ids and the SYNTAX segments they stand for (Popov et al., Sci Data 2024)."""

from __future__ import annotations

from typing import Any

from monai_lora_sam.coronary.anatomy.segments import SyntaxSegment

# The order of ARCADE's categories; from the tenth on an id is not the SYNTAX name.
_NAMES_BY_ID = (
    *("1", "2", "3", "4", "5", "6", "7", "8", "9", "9a", "10", "10a", "11"),
    *("12", "12a", "13", "14", "14a", "15", "16", "16a", "16b", "16c", "12b", "14b"),
)
_SEGMENT_OF_ID = {number: SyntaxSegment(name) for number, name in enumerate(_NAMES_BY_ID, start=1)}
_ID_OF_SEGMENT = {segment: number for number, segment in _SEGMENT_OF_ID.items()}

#: Background and the 25 segment names; the index is the category id.
ARCADE_CLASS_NAMES: list[str] = ["background", *_NAMES_BY_ID]

#: ARCADE's category for a lesion: no segment.
ARCADE_STENOSIS_ID = 26


def syntax_from_arcade_id(category_id: int) -> SyntaxSegment:
    """Return the SYNTAX segment of an ARCADE category id (1 to 25).

    Raises:
        ValueError: for any other id; 26 is "stenosis", which is not a segment.

    Example:
        >>> syntax_from_arcade_id(13)
        <SyntaxSegment.LCX_PROXIMAL: '11'>
    """
    segment = _SEGMENT_OF_ID.get(category_id)
    if segment is None:
        hint = " (26 is 'stenosis', not a segment)" if category_id == ARCADE_STENOSIS_ID else ""
        raise ValueError(f"expected an ARCADE segment category id from 1 to 25, found {category_id!r}{hint}")
    return segment


def arcade_id(segment: SyntaxSegment) -> int:
    """Return the ARCADE category id (1 to 25) of a SYNTAX segment.

    Raises:
        TypeError: when given anything but a SyntaxSegment.

    Example:
        >>> arcade_id(SyntaxSegment.LCX_PROXIMAL)
        13
    """
    if not isinstance(segment, SyntaxSegment):
        raise TypeError(f"expected a SyntaxSegment, found {segment!r}")
    return _ID_OF_SEGMENT[segment]


def coco_identifier(value: Any) -> int | str:
    """Return an id of a COCO file such that 7, 7.0 and "7" are one id.

    Raises:
        ValueError: neither a whole number nor a text.
    """
    if isinstance(value, str) and value.strip():
        text = value.strip()
        return int(text) if text.isdecimal() and len(text) < 20 else text
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        return int(value)
    raise ValueError(f"expected an id, a whole number or a text, found {value!r:.80}")


def arcade_ids_by_name(categories: Any) -> dict[int | str, int | None]:
    """Map the category ids of a COCO file to ARCADE's by the categories' names; None stands for an unknown name.

    Tools that write COCO number the categories anew, so an id alone says nothing. A file without categories is taken
    to have ARCADE's own ids.

    Raises:
        ValueError: no list of objects with `id` and `name`, or two names for one id.

    Example:
        >>> arcade_ids_by_name([{"id": 1, "name": "10a"}, {"id": 2, "name": "stenosis"}])
        {1: 12, 2: 26}
    """
    ours = {name: number for number, name in enumerate([*ARCADE_CLASS_NAMES, "stenosis"]) if number}
    if categories is None or categories == []:
        return {number: number for number in ours.values()}
    if not isinstance(categories, list):
        raise ValueError(f"categories: expected a list, found {categories!r:.80}")
    found: dict[int | str, int | None] = {}
    names: dict[int | str, str] = {}
    for index, category in enumerate(categories):
        if not isinstance(category, dict) or not isinstance(category.get("name"), str | int):
            raise ValueError(f"categories[{index}]: expected id and name, found {category!r:.80}")
        try:
            identifier = coco_identifier(category.get("id"))
        except ValueError as error:
            raise ValueError(f"categories[{index}]: {error}") from error
        name = str(category["name"]).strip().lower()
        if names.setdefault(identifier, name) != name:
            raise ValueError(
                f"categories[{index}]: expected one name for the id {identifier!r}, "
                f"found {names[identifier]!r} and {name!r}"
            )
        found[identifier] = ours.get(name)
    return found
