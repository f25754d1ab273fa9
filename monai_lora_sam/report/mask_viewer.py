"""Show a true mask and predicted ones on a picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monai_lora_sam.report.drawing import outline, svg
from monai_lora_sam.report.page import Viewer
from monai_lora_sam.report.pictures import data_uri, png

TRUTH = "#35c759"
#: Colours of the first, the second and the third prediction.
PREDICTIONS = ("#ff5a36", "#4aa8ff", "#ffd400")


def mask_viewer(
    picture: np.ndarray, truth: np.ndarray, predictions: Mapping[str, np.ndarray], caption: str = ""
) -> Viewer:
    """Return a picture with the outlines of each prediction and the truth, and of the truth alone.

    Args:
        picture: (H, W) or (H, W, 3) uint8.
        truth: (H, W) bool.
        predictions: one to three masks (H, W) bool by name; the first is shown initially.
        caption: text below the picture.

    Raises:
        ValueError: more than three predictions, or none.

    Example:
        >>> mask = np.eye(8, dtype=bool)
        >>> list(mask_viewer(np.zeros((8, 8), np.uint8), mask, {"prediction": mask}).layers)
        ['Prediction', 'Truth']
    """
    if not 1 <= len(predictions) <= len(PREDICTIONS):
        raise ValueError(f"expected 1 to {len(PREDICTIONS)} predictions, found {len(predictions)}")
    colours = dict(zip(predictions, PREDICTIONS, strict=False))
    true = outline(truth, TRUTH)
    layers = {
        name.capitalize(): svg(truth.shape, [true, outline(mask, colours[name])])
        for name, mask in predictions.items()
    }
    return Viewer(
        base=data_uri(png(picture)),
        base_label="Image",
        layers={**layers, "Truth": svg(truth.shape, [true])},
        caption=caption,
        legend={"truth": TRUTH, **colours},
    )
