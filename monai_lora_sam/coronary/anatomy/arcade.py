"""ARCADE's category ids and the SYNTAX segments they stand for (Popov et al., Sci Data 2024)."""

from __future__ import annotations

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
