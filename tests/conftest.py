"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real images, or skip where it is missing."""
    folder = Path(os.environ.get("MONAI_LORA_SAM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real images are missing: {folder} (set MONAI_LORA_SAM_DATA)")
    return folder
