"""The MONAI Label app: ``monailabel start_server --app plugins/monailabel --studies DIR``."""

import sys
from pathlib import Path

# MONAI Label loads this file alone; the app's package lies beside it.
if str(Path(__file__).resolve().parent) not in sys.path:
    sys.path.append(str(Path(__file__).resolve().parent))

from label_app.app import LabelApp

__all__ = ["LabelApp"]
