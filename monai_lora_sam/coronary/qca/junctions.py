"""Places at which the SYNTAX score knows bifurcations, trifurcations and ostia, and what a lesion there can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment, adjoins, exists_in

if TYPE_CHECKING:
    from monai_lora_sam.coronary.qca.syntax_score import ScoredLesion

# Sianos et al., EuroIntervention 2005;1:219-227: the main vessel before the junction, then its branches.
_BIFURCATIONS = ("5/6/11", "6/7/9", "7/8/10", "11/13/12a", "13/14/14a", "3/4/16", "13/14/15")
_TRIFURCATIONS = ("3/4/16/16a", "5/6/11/12", "11/12a/12b/13", "6/7/9/9a", "7/8/10/10a")
# The left artery's segments 6 and 11 have ostia of their own where the left main is missing.
_AORTO_OSTIAL = ("1", "5", "6", "11")


def check_anatomy(lesion: ScoredLesion, dominance: Dominance) -> None:
    """Refuse a lesion that the coronary arteries have no place for.

    Raises:
        ValueError: a segment that does not exist under the dominance, segments that do not adjoin, or a bifurcation, a
            trifurcation or an aorto-ostial lesion on segments that form none; the possible ones are named.
    """
    for segment in lesion.segments:
        if not exists_in(segment, dominance):
            raise ValueError(f"SYNTAX segment {segment.value} does not exist in {dominance.value} dominance")
    if not _hang_together(lesion.segments, dominance):
        found = ", ".join(segment.value for segment in lesion.segments)
        raise ValueError(f"expected segments of one lesion that adjoin, found {found}")
    names = {segment.value for segment in lesion.segments}
    adverse = lesion.adverse
    if adverse.medina is not None:
        before, *branches = adverse.medina
        allowed = _junctions(_BIFURCATIONS, dominance)
        if not any(
            (before and main in names) or (any(branches) and names & set(daughters))
            for main, *daughters in allowed
        ):
            raise _misplaced(f"the Medina class {','.join(map(str, adverse.medina))}", allowed, names)
    if adverse.trifurcation_segments:
        allowed = _junctions(_TRIFURCATIONS, dominance)
        if not any(names & set(junction) for junction in allowed):
            raise _misplaced("a trifurcation", allowed, names)
    if adverse.aorto_ostial and not names & set(_AORTO_OSTIAL):
        raise _misplaced("an aorto-ostial lesion", [[name] for name in _AORTO_OSTIAL], names)


def _junctions(junctions: Sequence[str], dominance: Dominance) -> list[list[str]]:
    """Return the segments of each junction that exists under a dominance."""
    parts = [junction.split("/") for junction in junctions]
    return [names for names in parts if all(exists_in(SyntaxSegment(name), dominance) for name in names)]


def _misplaced(finding: str, allowed: Sequence[Sequence[str]], names: set[str]) -> ValueError:
    places = ", ".join("/".join(junction) for junction in allowed)
    found = ", ".join(segment.value for segment in SyntaxSegment if segment.value in names)
    return ValueError(f"expected {finding} at a narrowed part of {places}, found segments {found}")


def _hang_together(segments: Sequence[SyntaxSegment], dominance: Dominance) -> bool:
    """Say whether each segment can be reached from each other one over segments that adjoin."""
    reached, left = [segments[0]], set(segments[1:])
    for segment in reached:
        near = {other for other in left if adjoins(segment, other, dominance)}
        reached += near
        left -= near
    return not left
