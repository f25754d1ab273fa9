"""Small, stackable LoRA adapters for Segment-Anything models, trained and run as MONAI bundles."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai_lora_sam.adapters import AdapterStack
    from monai_lora_sam.encoders import build_encoder
    from monai_lora_sam.images import read_image
    from monai_lora_sam.networks import build_segmenter
    from monai_lora_sam.stages import load_stage, new_stage, save_stage
    from monai_lora_sam.workflows import run_bundle

__version__ = "0.1.0"

__all__ = [
    "AdapterStack",
    "__version__",
    "build_encoder",
    "build_segmenter",
    "load_stage",
    "new_stage",
    "read_image",
    "run_bundle",
    "save_stage",
]

_ROOMS = {
    "AdapterStack": "adapters",
    "build_encoder": "encoders",
    "build_segmenter": "networks",
    "load_stage": "stages",
    "new_stage": "stages",
    "read_image": "images",
    "run_bundle": "workflows",
    "save_stage": "stages",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its room when it is first used, so that the package itself loads no torch."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
