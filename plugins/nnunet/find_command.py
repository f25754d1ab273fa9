"""Find nnU-Net's commands."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def find_command(name: str, folder: str | Path | None = None) -> str:
    """Return the path of a command: in a folder, beside this Python, or on the path, in this order.

    Raises:
        FileNotFoundError: no such command; the message says how to install nnU-Net.
    """
    places = (
        [str(folder)]
        if folder is not None
        else [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    )
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise FileNotFoundError(
            f"expected nnU-Net's command {name} in {places[0]}, found none: pip install 'monai-lora-sam[nnunet]'"
        )
    return found
