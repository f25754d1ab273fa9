"""Colours of the coronary segments on a grey picture."""

from __future__ import annotations

# By ARCADE category id, 1 to 25. Found by simulated annealing over an RGB grid of lightness 42 to 93: the smallest
# CIEDE2000 distance was made large between all, larger between segments that one injection can show together, and
# largest between segments that touch, these also as seen in protanopia, deuteranopia and tritanopia (Machado 2009).
SEGMENT_COLOURS: dict[int, str] = {
    1: "#ffe61a",  # SYNTAX 1
    2: "#998033",  # 2
    3: "#e633e6",  # 3
    4: "#99cc99",  # 4
    5: "#99ff1a",  # 5
    6: "#804dff",  # 6
    7: "#66ffff",  # 7
    8: "#99664d",  # 8
    9: "#ff1a66",  # 9
    10: "#ccb3e6",  # 9a
    11: "#ccb333",  # 10
    12: "#b33366",  # 10a
    13: "#ffb399",  # 11
    14: "#66b3b3",  # 12
    15: "#809900",  # 12a
    16: "#666699",  # 13
    17: "#cc1a1a",  # 14
    18: "#80ffcc",  # 14a
    19: "#009980",  # 15
    20: "#994d4d",  # 16
    21: "#99b3e6",  # 16a
    22: "#008080",  # 16b
    23: "#99e6ff",  # 16c
    24: "#ff80b3",  # 12b
    25: "#e680ff",  # 14b
}
VESSEL_COLOUR = "#ffd400"  # yellow: far from every grey
LESION_COLOUR = "#ff5a4f"
BORDER_COLOUR = "#ffffff"
UNNAMED_COLOUR = "#ffffff"  # vessels that no segment names


def segment_colour(category_id: object) -> str:
    """Return the colour of an ARCADE category id as ``#rrggbb``; the vessels' colour for any other value.

    Example:
        >>> segment_colour(1)
        '#ffe61a'
    """
    return SEGMENT_COLOURS.get(category_id, VESSEL_COLOUR) if isinstance(category_id, int) else VESSEL_COLOUR


def rgb(colour: str) -> tuple[int, int, int]:
    """Turn ``#rrggbb`` into red, green and blue, 0..255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
