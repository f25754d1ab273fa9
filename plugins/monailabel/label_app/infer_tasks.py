"""Inference tasks: prompts, adapters by modality, and the coronary stages."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from label_app.label_files import write_label
from label_app.prompts_of_request import prompts_of, slices_of
from label_app.serving_state import ServingState, is_flat, modality_of, plain, read_pixels
from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.images import read_volume, to_unit_by_preset

#: Kinds of results of the stages.
STAGES = ("vessels", "segments", "stenosis", "report")


class PromptTask(InferTask):
    """Segment the objects that points and boxes show, in a picture or slice by slice in a volume.

    Entries of the request besides the prompts: ``network``, a base or an adapter by its name; ``window`` of a volume's
    intensities; ``slices``, the first and the last of a volume; ``result_extension``.

    Args:
        state: of the server.
        by_modality: take the adapter of the modality that the request (``modality``) or the image's tags name.
    """

    def __init__(self, state: ServingState, by_modality: bool = False) -> None:
        self.state, self.by_modality = state, by_modality
        description = "Objects by points and boxes" + (
            ", with the adapter of the modality" if by_modality else ""
        )
        # OHIF offers points for this type alone.
        super().__init__(InferType.DEEPGROW, ["object"], 3, description)

    def is_valid(self) -> bool:
        return True

    def config(self) -> dict[str, Any]:
        names = [one.name for one in self.state.engine.pool.offered() if one.error is None]
        chosen = {"modality": ["", "CT", "MR", "US", "XA"]} if self.by_modality else {"network": names}
        return {**chosen, "result_extension": ["", ".png", ".nii.gz", ".nrrd"]}

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        begun, path = time.perf_counter(), Path(request["image"])
        network = self._network(request, path)
        extension = _text(request, "result_extension")
        if is_flat(path):
            pixels = read_pixels(path)
            found = self.state.engine.segment(pixels, prompts_of(request), network)
            source: Any = path
        else:
            source = read_volume(path)
            window = _text(request, "window") or ("ct_abdomen" if source.modality == "CT" else "percentiles")
            pixels = to_unit_by_preset(source.pixels, window)
            prompts = prompts_of(request, pixels.shape[2])
            found = self.state.engine.segment_volume(pixels, prompts, network, slices_of(request))
        labels = np.zeros(found[0].mask.shape, np.uint8)
        for number, one in enumerate(found, 1):
            labels[one.mask] = number
        result = {
            "label_names": {one.prompt.name: number for number, one in enumerate(found, 1)},
            "predicted_iou": {one.prompt.name: one.predicted_iou for one in found},
            "network": network or self.state.engine.pool.default,
            "latencies": {"total": round(time.perf_counter() - begun, 3)},
        }
        return write_label(labels, source, extension), plain(result)

    def _network(self, request: Mapping[str, Any], path: Path) -> str | None:
        if not self.by_modality:
            return _text(request, "network")
        return self.state.network_for(_text(request, "modality") or modality_of(path)).name


class StageTask(InferTask):
    """Run the coronary stages on an angiogram.

    `vessels` returns a mask, `segments` ARCADE's category ids; `stenosis` returns the mask of the vessels inside the
    boxes of lesions and in its result %DS, MLD and the other figures of each lesion; `report` returns the ids and the
    whole report.

    Args:
        state: of the server.
        kind: of `STAGES`.
    """

    def __init__(self, state: ServingState, kind: str) -> None:
        self.state, self.kind = state, kind
        names = {name: number for number, name in enumerate(ARCADE_CLASS_NAMES) if number}
        labels = {"vessels": {"vessel": 1}, "stenosis": {"stenosis": 1}}.get(kind, names)
        descriptions = {
            "vessels": "Coronary vessels of an angiogram",
            "segments": "SYNTAX segments of an angiogram",
            "stenosis": "Stenoses of an angiogram with %DS and MLD",
            "report": "Vessels, segments, stenoses and measurements of an angiogram",
        }
        super().__init__(InferType.SEGMENTATION, labels, 2, descriptions[kind])

    def is_valid(self) -> bool:
        return True

    def config(self) -> dict[str, Any]:
        return {"result_extension": ["", ".png", ".nii.gz", ".nrrd"]}

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        begun, path = time.perf_counter(), Path(request["image"])
        found: dict[str, Any] = {"label_names": self.labels}
        if self.kind == "vessels":
            labels = self.state.kept_vessels(path) >= 0.5
        else:
            result = self.state.analyse(path)
            labels = lesion_mask(result)
            if self.kind in ("segments", "report"):
                labels = result.vessels if result.segments is None else result.segments
            if self.kind == "segments":
                found["segments"] = result.report.get("segments", [])
            elif self.kind == "stenosis":
                found |= {key: result.report.get(key, []) for key in ("lesions", "calibration", "warnings")}
            else:
                found["report"] = result.report
        found["latencies"] = {"total": round(time.perf_counter() - begun, 3)}
        return write_label(labels, path, _text(request, "result_extension")), plain(found)


def lesion_mask(result: Any) -> np.ndarray:
    """Return the pixels (H, W) of vessels that lie in a lesion's box."""
    mask = np.zeros_like(result.vessels)
    for row in result.report.get("lesions", []):
        x0, y0, x1, y1 = (max(0, round(value)) for value in row["box_xy"])
        mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask & result.vessels


def _text(request: Mapping[str, Any], key: str) -> str | None:
    """Return an entry that is a text; Slicer sends the whole list of choices where the user chose none."""
    value = request.get(key)
    return value if isinstance(value, str) and value else None
