"""Train a new adapter on the labels that were submitted so far."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from label_app.errors import Refused
from label_app.label_files import png_of
from label_app.serving_state import ServingState, is_flat, modality_of
from monai_lora_sam.adaptation import AdaptationRequest, adapt
from monai_lora_sam.data import SMALLEST_OBJECT, write_datalist
from monai_lora_sam.files import atomic_folder
from monai_lora_sam.images import read_label

#: Folder below that of the adapters in which trainings run; its name is hidden from the list of adapters.
WORK = ".training"
#: Niceness of a training, so that clicks go first.
NICENESS = 10


class AdapterTrainTask(TrainTask):
    """Train a LoRA adapter on the final labels of pictures, as a new version; no base and no version is ever changed.

    Entries of the request: ``name`` of the adapter, ``minutes`` for everything, ``encoder``, and ``keys`` of the
    bundle ``modality_adapter``.

    Args:
        state: of the server.
    """

    def __init__(self, state: ServingState) -> None:
        super().__init__("A new LoRA adapter on the labels submitted so far")
        self.state = state

    def config(self) -> dict[str, Any]:
        return {
            "name": "labels",
            "minutes": float(self.state.settings["train_minutes"]),
            "encoder": list(self.state.engine.pool.bases),
        }

    def stats(self) -> dict[str, Any]:
        """Return the versions of each adapter in the folder."""
        names = [
            one.name for one in self.state.engine.pool.offered() if "/" in one.name and one.error is None
        ]
        return {"versions": names}

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train and return the name under which the new version is offered."""
        name = str(request.get("name") or "labels")
        if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,63}", name, re.ASCII):
            raise Refused(f"name: expected letters, digits, '-' and '_', found {name!r:.80}")
        encoder = request.get("encoder")
        keys = dict(request.get("keys") or {})
        if isinstance(encoder, str) and encoder:
            keys.setdefault("encoder_name", encoder)
        else:
            keys.setdefault("encoder_name", self.state.engine.pool.default)
        weights = self.state.engine.pool.weights.get(keys["encoder_name"])
        if weights:
            keys.setdefault("pretrained", str(weights))
        work = self.state.adapters / WORK / name
        work.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(work.parent / f"{name}.lock", timeout=0):
                return self._train(request, datastore, name, keys, work)
        except Timeout as error:
            raise Refused(
                f"name: expected an adapter that is not being trained, found {name!r} in training"
            ) from error

    def _train(
        self, request: Mapping[str, Any], datastore: Datastore, name: str, keys: dict[str, Any], work: Path
    ) -> dict[str, Any]:
        if os.name == "posix" and os.nice(0) < NICENESS:
            os.nice(NICENESS)
        shutil.rmtree(work, ignore_errors=True)  # of a training that was stopped, on other labels
        datalist = collect_labels(datastore, work / "labels")
        outcome = adapt(
            AdaptationRequest(
                images=datalist,
                masks=None,
                name=name,
                out=work / "run",
                minutes=float(request.get("minutes") or self.state.settings["train_minutes"]),
                device=request.get("device") or self.state.settings["device"] or None,
                keys=keys,
            ),
            tell=lambda line: print(line, flush=True),
            watch=lambda items, done, count: print(f"{items}: {done} of {count}", flush=True),
        )
        target = self.state.adapters / name / str(next_version(self.state.adapters / name))
        with atomic_folder(target) as temporary:
            shutil.copytree(outcome.adapter, temporary, dirs_exist_ok=True)
        shutil.copy2(outcome.page, self.state.adapters / name / f"report_{target.name}.html")
        shutil.rmtree(work, ignore_errors=True)
        offered = target.relative_to(self.state.adapters).as_posix()
        print(f"adapter: {offered}", flush=True)
        return {"adapter": offered, "comparison": outcome.trained.comparison}


def collect_labels(datastore: Datastore, folder: Path) -> Path:
    """Copy the final labels of all pictures into a datalist whose values mean the same in each.

    Labels may change while an adapter trains; these copies do not.

    Raises:
        Refused: fewer than two labelled pictures.
    """
    named: list[tuple[str, np.ndarray, dict[int, str]]] = []
    for image in sorted(datastore.get_labeled_images()):
        uri, label = datastore.get_image_uri(image), datastore.get_label_uri(image, "final")
        if not label or not is_flat(uri) or not label.endswith(".png"):
            continue
        pixels = read_label(label, 256)
        if np.bincount(pixels.ravel(), minlength=2)[1:].max() < SMALLEST_OBJECT:
            print(f"left out: {image}, without an object of {SMALLEST_OBJECT} pixels", flush=True)
            continue
        names = (datastore.get_label_info(image, "final") or {}).get("label_names") or {}
        named.append((uri, pixels, {int(value): str(text) for text, value in names.items()}))
    if len(named) < 2:
        raise Refused(f"expected two labelled pictures or more, found {len(named)}")
    classes = class_names([(pixels, names) for _, pixels, names in named])
    folder.mkdir(parents=True)
    entries = []
    for number, (uri, labels, names) in enumerate(named):
        values = np.zeros(256, np.uint8)
        for value in np.unique(labels)[np.unique(labels) > 0]:
            values[value] = classes.index(names.get(int(value), f"object {value}"))
        path = folder / f"{number:05d}.png"
        path.write_bytes(png_of(values[labels]))
        entry = {"image": uri, "label": str(path), "case_id": Path(uri).stem}
        entries.append(entry | ({"modality": modality} if (modality := modality_of(uri)) else {}))
    return write_datalist(
        folder / "datalist.json",
        name="labels",
        task="objects",
        class_names=classes,
        splits={"training": entries, "validation": []},
    )


def class_names(labels: Sequence[tuple[np.ndarray, Mapping[int, str]]]) -> list[str]:
    """Return "background" and the names of all values that occur, sorted; a value without a name is "object N"."""
    found = {
        names.get(int(value), f"object {value}")
        for pixels, names in labels
        for value in np.unique(pixels)
        if value
    }
    return ["background", *sorted(found)]


def next_version(folder: Path) -> int:
    """Return the number after the highest version in an adapter's folder."""
    taken = [int(path.name) for path in folder.glob("*") if path.name.isdigit()] if folder.is_dir() else []
    return max(taken, default=0) + 1
