"""Diameters read by a network: what it says is what is measured, and where it is put on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from monai_lora_sam.coronary.networks import DiameterNetwork
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, diameter_finder
from monai_lora_sam.coronary.qca import measure
from monai_lora_sam.coronary.qca.lumen import lumen_diameters
from monai_lora_sam.coronary.stages import SHIPPED_DIAMETER_NETWORK, save_lumen_network
from monai_lora_sam.networks import AdaptedSegmenter


class Half(torch.nn.Module):
    """Stand in for a network that finds every lumen half as wide as the map, and a tenth of it beside its middle."""

    def __init__(self) -> None:
        super().__init__()
        self.parameter = torch.nn.Parameter(torch.zeros(1))

    def forward(self, vessel: torch.Tensor) -> torch.Tensor:
        diameter = torch.full((1, vessel.shape[2]), 0.5)
        return torch.stack([diameter, torch.full_like(diameter, 0.1)], dim=1)


def tube(size: int = 120, width: float = 10.0) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return ((np.abs(rows - size / 2) <= width / 2) & (columns > 10) & (columns < size - 10)).astype(
        np.float32
    )


def test_what_the_network_says_is_measured():
    mask = tube()
    shadow = np.sqrt(np.maximum(25.0 - (np.mgrid[:120, :120][0] - 60.0) ** 2, 0)) * mask
    result = measure(mask, image=-gaussian_filter(shadow, 1.0), find_lumen=diameter_finder(Half(), mask))  # type: ignore[arg-type]
    (profile,) = result.profiles
    known = profile.is_measured
    usual = np.median(measure(mask).profiles[0].diameter_px)
    assert profile.reading_error_px > 0 and known.sum() > 100
    assert profile.diameter_px[known] == pytest.approx(np.full(known.sum(), usual / 2), rel=0.02)
    middle = (profile.left_wall_rc + profile.right_wall_rc)[known, 0] / 2
    assert np.abs(middle - profile.points_rc[known, 0]) == pytest.approx(
        np.full(known.sum(), usual / 10), rel=0.05
    )


def test_the_pipeline_measures_by_it_unless_told_otherwise(
    network: AdaptedSegmenter, picture: Path, tmp_path: Path
):
    def pipeline(given) -> CoronaryPipeline:
        return CoronaryPipeline(network, refiner=None, diameter_network=given, device="cpu")

    own = DiameterNetwork((4, 4, 4), 4)
    folder = save_lumen_network(own, tmp_path / "diameters", version="3")
    probability = np.zeros((8, 8), np.float32)
    for none in (None, False):
        assert pipeline(none).lumen_finder(probability) is lumen_diameters
        assert (
            pipeline(none).settings["diameter_network"] is False
            and pipeline(none)(picture).report["diameter_network"] is None
        )
    for some in (own, folder, SHIPPED_DIAMETER_NETWORK, True):
        assert pipeline(some).lumen_finder(probability) is not lumen_diameters
        assert pipeline(some).settings["diameter_network"] is True
    assert pipeline(folder)(picture).report["diameter_network"]["version"] == "3"
