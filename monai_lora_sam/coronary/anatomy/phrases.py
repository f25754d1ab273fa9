"""Words for coronary segments and arteries, as a reader of angiograms says them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from monai_lora_sam.coronary.anatomy.arcade import arcade_id
from monai_lora_sam.coronary.anatomy.segments import SyntaxSegment

_VESSELS = MappingProxyType(
    {
        "RCA": "right coronary artery",
        "LAD": "left anterior descending artery",
        "LCX": "left circumflex artery",
    }
)
#: Artery → the SYNTAX segments that it consists of.
_ARTERIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "right coronary artery": ("1", "2", "3"),
        "left main coronary artery": ("5",),
        "left anterior descending artery": ("6", "7", "8"),
        "diagonal branch": ("9", "9a", "10", "10a"),
        "left circumflex artery": ("11", "13"),
        "intermediate branch": ("12",),
        "obtuse marginal branch": ("12a", "12b"),
        "posterior descending artery": ("4", "15"),
        "posterolateral branch": ("14", "14a", "14b", "16", "16a", "16b", "16c"),
    }
)


def segment_phrases() -> dict[str, list[int]]:
    """Return ARCADE's category id of each segment by its name in words.

    Example:
        >>> segment_phrases()["proximal left anterior descending artery"]
        [6]
    """
    return {_words(segment): [arcade_id(segment)] for segment in SyntaxSegment}


def artery_phrases() -> dict[str, list[int]]:
    """Return the ARCADE category ids of each artery's segments by its name in words.

    Example:
        >>> artery_phrases()["left anterior descending artery"]
        [6, 7, 8]
    """
    return {artery: [arcade_id(SyntaxSegment(name)) for name in names] for artery, names in _ARTERIES.items()}


def _words(segment: SyntaxSegment) -> str:
    first, *rest = segment.name.split("_")
    if first in _VESSELS:
        return f"{' '.join(rest).lower()} {_VESSELS[first]}"
    words = segment.name.replace("_", " ").lower()
    kind = "artery" if words.endswith(("descending", "main")) else "branch"
    last = words.rpartition(" ")[2]
    if last in ("a", "b", "c"):
        return f"{words.removesuffix(' ' + last)} branch {last}"
    return f"{words} {kind}"
