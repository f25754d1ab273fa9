"""What a stack remembers of each name on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Skill:
    """How a name is trained, on top of what, and its card if it was loaded or saved.

    Attributes:
        strategy: ``"lora"``, ``"frozen"``, ``"last_n"`` or ``"full"``.
        modules: names of the encoder's modules that its training moves; ``""`` is the whole encoder.
        parents: fingerprints of what was below when it was trained, by name.
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
