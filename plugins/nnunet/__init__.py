"""Train nnU-Net v2 on this project's datalists: export, driver of its commands, external trainers."""

from plugins.nnunet.dataset import (
    NnunetDataset,
    export_pictures,
    export_volumes,
    predicted_pictures,
    predicted_slices,
)
from plugins.nnunet.run import PLANS, NnunetRun, NnunetSettings

__all__ = [
    "NnunetDataset",
    "NnunetRun",
    "NnunetSettings",
    "PLANS",
    "export_pictures",
    "export_volumes",
    "predicted_pictures",
    "predicted_slices",
]
