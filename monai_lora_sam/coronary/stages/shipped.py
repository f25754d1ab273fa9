"""Folders of the trained stages that come with the package."""

from __future__ import annotations

from pathlib import Path

_ASSETS = Path(__file__).resolve().parents[1] / "assets"

#: The three stages, trained on the tiny base.
SHIPPED = _ASSETS / "stages"
#: The refiner of the vessel map, trained on synthetic angiograms.
SHIPPED_REFINER = _ASSETS / "lumen_refiner"
#: The network that reads diameters, trained on synthetic angiograms.
SHIPPED_DIAMETER_NETWORK = _ASSETS / "diameter_network"
