"""Name the methods of the benchmark: bundle keys of stages, settings of nnU-Net."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai_lora_sam
from monai_lora_sam.files import read_json

#: The weights that a training starts from, and the cost of their own training, by encoder.
BASES = {
    "mini": "EfficientNet-Lite0 with ImageNet weights; their training is not counted",
    "medsam_lite": "LiteMedSAM, trained on medical images by its authors; that training is not counted",
    "mobile_sam": "MobileSAM, distilled from SAM by its authors; that training is not counted",
}
NOTHING = "random weights"


@dataclass(frozen=True)
class Method:
    """Hold a method.

    Attributes:
        name: on the command line and in tables.
        about: one line for the report.
        keys: of the bundle, for a stage; None for nnU-Net.
        planner, configuration: of nnU-Net.
        pretrained: whether a stage starts from the encoder's weights.
    """

    name: str
    about: str
    keys: dict[str, Any] | None = None
    planner: str = ""
    configuration: str = ""
    pretrained: bool = True

    @property
    def is_nnunet(self) -> bool:
        return self.keys is None


def _stage(name: str, about: str, pretrained: bool = True, **keys: Any) -> Method:
    return Method(name, about, {"head": "segmentation", **keys}, pretrained=pretrained)


def _nnunet(name: str, about: str, planner: str = "ExperimentPlanner", configuration: str = "2d") -> Method:
    return Method(name, about, None, planner, configuration, pretrained=False)


METHODS = {
    method.name: method
    for method in (
        _stage("lora", "LoRA adapter and head; the encoder stays frozen", strategy="lora"),
        _stage("frozen", "head alone; the encoder stays frozen", strategy="frozen"),
        _stage("full", "the whole encoder and the same head", strategy="full"),
        _stage("unet", "U-Net decoder on the same encoder, all trained", strategy="full", head="unet"),
        _stage("unet_scratch", "the same U-Net from random weights", False, strategy="full", head="unet"),
        _nnunet("nnunet", "nnU-Net 2-D, default planner (a batch of at most 5 % of the data set's pixels)"),
        _nnunet("nnunet_resenc_m", "nnU-Net 2-D, residual encoder M planner", "nnUNetPlannerResEncM"),
        _nnunet("nnunet_3d", "nnU-Net 3-D full resolution, default planner", configuration="3d_fullres"),
    )
}


def base_of(method: Method, encoder: str) -> str:
    """Return which weights a method starts from, and what they cost."""
    if not method.pretrained:
        return NOTHING
    if encoder == "tiny":
        card = read_json(Path(monai_lora_sam.__file__).parent / "assets" / "tiny" / "card.json")
        minutes = card["training_seconds"] / 60
        return f"the phantom base of this project; its {minutes:.0f} minutes of pretraining on 2 cores are not counted"
    return BASES.get(encoder, f"the usual weights of {encoder}; their training is not counted")
