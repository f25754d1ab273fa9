"""What a quantitative coronary analysis gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monai_lora_sam.qca.lesion import Lesion
from monai_lora_sam.qca.profile import VesselProfile


@dataclass(frozen=True, eq=False)
class QcaResult:
    """Hold the vessels of a picture with their diameter functions, and their lesions."""

    shape: tuple[int, int]
    pixel_spacing_mm: float | None
    profiles: tuple[VesselProfile, ...]
    lesions: tuple[Lesion, ...]

    def to_json(self) -> dict[str, Any]:
        return {"lesions": [lesion.to_json(self.pixel_spacing_mm) for lesion in self.lesions]}
