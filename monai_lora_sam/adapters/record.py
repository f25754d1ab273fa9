"""Keep what a stack knows of each name on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class AdapterRecord:
    """Hold the strategy, the parents and the card of one name on a stack.

    Attributes:
        strategy: ``"lora"``, ``"frozen"``, ``"last_n"`` or ``"full"``.
        modules: names of the encoder's modules that its training moves; ``""`` is the whole encoder.
        parents: fingerprints of the names that were active when it was trained, by name.
        fingerprint: of its tensors as loaded, saved or last asked for; None while they may change.
        card: as on disk.
    """

    strategy: str
    modules: tuple[str, ...] = ()
    parents: dict[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def is_lora(self) -> bool:
        """Whether it is a LoRA adapter."""
        return self.strategy == "lora"
