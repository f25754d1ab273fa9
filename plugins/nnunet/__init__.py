"""Train nnU-Net v2 on this project's datalists: export, driver of its commands, external trainers."""

from plugins.nnunet.dataset import (
    NnunetDataset,
    export_pictures,
    export_volumes,
    predicted_pictures,
    predicted_slices,
)

__all__ = [
    "NnunetDataset",
    "export_pictures",
    "export_volumes",
    "predicted_pictures",
    "predicted_slices",
]
