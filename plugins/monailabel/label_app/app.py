"""The app: its tasks, its datastore and its routes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.app import app as web_app
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import ImageNotFoundException
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.tasks.activelearning.random import Random

from label_app.datastore import EXTENSIONS, SafeDatastore
from label_app.infer_tasks import STAGES, PromptTask, StageTask
from label_app.serving_state import ServingState
from label_app.strategies import Uncertainty
from label_app.train_task import AdapterTrainTask
from label_app.web import install

#: Folder of adapters below the studies, where no other is set.
ADAPTERS = "adapters"


class LabelApp(MONAILabelApp):
    """Label by clicks, by adapters and by the coronary stages.

    Args:
        app_dir, studies: folders, or of the studies a DICOMweb address.
        conf: entries of ``--conf``; see :data:`label_app.serving_state.DEFAULTS`.
    """

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        remote = studies.startswith(("http://", "https://"))
        here = Path.cwd() if remote else Path(studies)
        self.state = ServingState(conf, here / ADAPTERS)
        super().__init__(
            app_dir,
            studies,
            dict(conf),
            name="monai-lora-sam",
            description="Clicks, adapters and coronary angiograms",
            version="1",
        )
        install(web_app, self)

    def init_infers(self) -> dict[str, InferTask]:
        tasks: dict[str, InferTask] = {kind: StageTask(self.state, kind) for kind in STAGES}
        return {
            "click": PromptTask(self.state),
            "modality": PromptTask(self.state, by_modality=True),
            **tasks,
        }

    def init_trainers(self) -> dict[str, TrainTask]:
        return {"adapter": AdapterTrainTask(self.state)}

    def init_strategies(self) -> dict[str, Strategy]:
        return {"random": Random(), "uncertainty": Uncertainty(self.state)}

    def init_datastore(self) -> Datastore:
        if self.studies.startswith(("http://", "https://")):
            return super().init_datastore()
        extensions = [*settings.MONAI_LABEL_DATASTORE_FILE_EXT, *EXTENSIONS]
        return SafeDatastore(
            self.studies,
            list(dict.fromkeys(extensions)),
            settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def infer(
        self, request: dict[str, Any], datastore: Datastore | None = None, uploaded: bool = False
    ) -> dict[str, Any]:
        """Run a task on an image of the datastore, or on an upload of this request, and on no other file."""
        image = request.get("image")
        if isinstance(image, str) and not uploaded:
            store = datastore or self.datastore()
            if os.path.exists(image) or not store.get_image_uri(image):
                raise ImageNotFoundException(f"expected an image of the datastore, found {image!r:.200}")
        return super().infer(request, datastore)
