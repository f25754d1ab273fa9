"""One small image with its report."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.qca import measure, summarise_tree
from monai_lora_sam.coronary.vessel_tree import build_vessel_tree


@pytest.fixture
def case():
    """Return a report, its image, vessels and probability: one horizontal vessel on a ramp."""
    image = np.tile(np.linspace(0.2, 0.8, 120), (80, 1))
    probability = np.full((80, 120), 0.05)
    probability[36:45, 10:110] = 0.95
    vessels = probability >= 0.5
    tree = build_vessel_tree(vessels)
    measurement = measure(probability, pixel_spacing_mm=0.3, tree=tree)
    report = {
        "schema": "monai-lora-sam/report/2",
        "image": {
            "file": "case.png",
            "height": 80,
            "width": 120,
            "pixel_spacing_mm": 0.3,
            "view": {"primary_deg": -30.0, "secondary_deg": 20.0},
        },
        "stages": [{"stage": "vessels", "adapter": "arcade", "version": "1.2.3", "fingerprint": "ab12" * 16}],
        "vessels": {"threshold": 0.5, **summarise_tree(tree, measurement)},
        "timings_s": {"vessels": 0.25},
        "warnings": ["The view is a guess."],
        "software": {"torch": "9.9.9"},
    }
    return report, image, vessels, probability
