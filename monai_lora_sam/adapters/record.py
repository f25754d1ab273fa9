"""Keep the strategy, parents and card of each name on a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monai_lora_sam.adapters.card import RESERVED_KEYS
from monai_lora_sam.encoders import ImageEncoder


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

    def content(self, name: str, encoder: ImageEncoder, base: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entries of its card, without those that :func:`write_folder` adds.

        Args:
            name: on the stack.
            encoder: it sits on.
            base: fingerprint of the encoder's weights before any adapter.
            more: further entries; those of a loaded card are kept.
        """
        kept = {key: value for key, value in self.card.items() if key not in RESERVED_KEYS}
        return {
            "name": name,
            "version": "1",
            **kept,
            **more,
            "strategy": self.strategy,
            "encoder": {
                "name": encoder.name,
                "family": encoder.family,
                "image_size": encoder.image_size,
                "fingerprint": base,
                **({} if encoder.quantisation is None else {"quantisation": encoder.quantisation}),
            },
            "parents": [{"name": key, "fingerprint": value} for key, value in self.parents.items()],
            "fingerprint": self.fingerprint,
            "modules": list(self.modules),
        }
