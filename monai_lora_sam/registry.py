"""Find objects that packages offer under a name, by Python's entry points."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

__all__ = ["Registry"]


class Registry:
    """Look up objects that installed packages offer under a name, and load each when it is asked for.

    Args:
        group: of the entry points.
        kind: of the objects, for messages.

    Example:
        >>> "segmentation" in Registry("monai_lora_sam.heads", "head").names()
        True
    """

    def __init__(self, group: str, kind: str) -> None:
        self.group, self.kind = group, kind

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(entry_points(group=self.group).names)

    def load(self, name: str) -> Any:
        """Return the object of a name.

        Raises:
            ValueError: an unknown name, or one that two packages offer.
        """
        entries = list(entry_points(group=self.group, name=name))
        if not entries:
            known = self.names()
            close = get_close_matches(str(name), known, n=1)
            nearest = f" (nearest: {close[0]!r})" if close else ""
            raise ValueError(f"{self.kind}: expected one of {known}, found {name!r}{nearest}")
        offered = {entry.value for entry in entries}
        if len(offered) > 1:
            raise ValueError(
                f"{self.kind} {name!r}: expected one package to offer it, found {' and '.join(sorted(offered))}"
            )
        return entries[0].load()
