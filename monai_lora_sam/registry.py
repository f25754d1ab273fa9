"""Find what packages offer under a name, by Python's entry points."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

__all__ = ["Registry"]


class Registry:
    """Look up objects that installed packages offer under a name, and load each when it is asked for.

    Args:
        group: of the entry points.
        kind: what the objects are, for messages.

    Example:
        >>> "segmentation" in Registry("monai_lora_sam.heads", "head").names()
        True
    """

    def __init__(self, group: str, kind: str) -> None:
        self.group, self.kind = group, kind

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._entries())

    def load(self, name: str) -> Any:
        """Return the object of a name.

        Raises:
            ValueError: an unknown name, or one that two packages offer.
        """
        entries = self._entries()
        if name not in entries:
            close = get_close_matches(str(name), entries, n=1)
            nearest = f" (nearest: {close[0]!r})" if close else ""
            raise ValueError(f"{self.kind}: expected one of {sorted(entries)}, found {name!r}{nearest}")
        return entries[name].load()

    def _entries(self) -> dict[str, EntryPoint]:
        entries: dict[str, EntryPoint] = {}
        for entry in entry_points(group=self.group):
            known = entries.setdefault(entry.name, entry)
            if known.value != entry.value:
                raise ValueError(
                    f"{self.kind} {entry.name!r}: expected one package to offer it, found {known.value} and "
                    f"{entry.value}"
                )
        return entries
