"""The MONAI Label app: ``monailabel start_server --app plugins/monailabel --studies DIR``."""

import sys
from pathlib import Path

from monailabel.interfaces.app import MONAILabelApp

# MONAI Label loads this file alone; its own packages lie beside it.
if str(Path(__file__).resolve().parent) not in sys.path:
    sys.path.append(str(Path(__file__).resolve().parent))

from label_app.app import LabelApp


class App(LabelApp, MONAILabelApp):
    """The app under the base class by which MONAI Label finds it in this file."""
