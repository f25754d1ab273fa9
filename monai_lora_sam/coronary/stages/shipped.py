"""Name the trained stages that come with the package."""

from __future__ import annotations

from pathlib import Path

_ASSETS = Path(__file__).resolve().parents[1] / "assets"

#: The three stages, trained on the tiny base.
SHIPPED = _ASSETS / "stages"
#: The networks that find the lumen, trained on synthetic angiograms.
SHIPPED_LUMEN = _ASSETS / "lumen"
SHIPPED_GAUGE = _ASSETS / "gauge"
