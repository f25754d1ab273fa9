"""Routes of the page for pictures: images, sessions, clicks, traces, analysis, labels. All are plain functions."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from label_app.datastore import FINAL, SafeDatastore
from label_app.errors import Refused, http_errors
from label_app.label_files import png_of, read_png
from label_app.serving_state import is_flat, plain, read_pixels, reader_of
from label_app.trace import trace_vessel
from monai_lora_sam.prompting import ObjectPrompt

if TYPE_CHECKING:
    from label_app.app import LabelApp

#: Most objects of a label: its pixels are bytes.
OBJECTS = 255
#: In the address; names of files may be long.
ImageId = Annotated[str, Query(max_length=1000)]
NAME = re.compile(r"[^\x00-\x1f<>]{1,80}")


class Strict(BaseModel):
    """A request that names no unknown field."""

    model_config = ConfigDict(extra="forbid")


class OpenRequest(Strict):
    """Open a session on an image."""

    image: str


class PrepareRequest(Strict):
    """Encode a session's image for a network."""

    network: str | None = None


class ClickRequest(Strict):
    """Ask for the mask of an object by all its prompts so far, in pixels of the image."""

    name: str = "object"
    points: list[tuple[float, float, int]] = Field(default=[], max_length=256)
    box: tuple[float, float, float, float] | None = None
    network: str | None = None


class TraceRequest(Strict):
    """Ask for the vessel between two places (x, y)."""

    start: tuple[float, float]
    end: tuple[float, float]


class LabelObject(Strict):
    """One object of a label; its mask is a PNG, white inside and black outside, in base64."""

    name: str
    mask: str


class LabelRequest(Strict):
    """Save the label of an image in place of the version that was opened."""

    objects: list[LabelObject] = Field(max_length=OBJECTS)
    version: str = ""
    network: str | None = None
    clicks: int = Field(default=0, ge=0)


def page_router(app: LabelApp) -> APIRouter:
    """Return the routes below the page's address."""
    router, state = APIRouter(prefix="/api", tags=["Page"]), app.state
    engine = state.engine

    def path_of(image: str) -> Path:
        if not isinstance(app.datastore(), SafeDatastore):
            raise Refused("expected studies in a folder for this page, found a server: use OHIF or 3D Slicer")
        path = Path(app.datastore().get_image_uri(image))
        if not path.exists():
            raise KeyError(f"expected an image of the datastore, found {image!r:.200}")
        if not is_flat(path):
            raise Refused(f"{image}: expected a picture, found a volume: use 3D Slicer or OHIF")
        return path

    @router.get("/images")
    def images() -> list[dict[str, Any]]:
        labelled = set(app.datastore().get_labeled_images())
        return [{"id": one, "labelled": one in labelled} for one in sorted(app.datastore().list_images())]

    @router.get("/networks")
    def networks() -> list[dict[str, Any]]:
        return [vars(one) for one in engine.pool.offered()]

    @router.get("/image")
    def image_png(image: ImageId) -> Response:
        with http_errors():
            grey = np.rint(255 * read_pixels(path_of(image))).astype(np.uint8)
            return Response(png_of(grey), media_type="image/png", headers={"Cache-Control": "no-cache"})

    @router.post("/sessions", status_code=201)
    def open_session(request: OpenRequest) -> dict[str, Any]:
        with http_errors():
            name = engine.open(reader_of(path_of(request.image)))
            with engine.sessions.use(name) as session:
                height, width = session.size
            return {"session": name, "width": width, "height": height, "lease_s": engine.sessions.lease_s}

    @router.delete("/sessions/{session}", status_code=204)
    def close_session(session: str) -> None:
        engine.sessions.close(session)

    @router.post("/sessions/{session}/prepare")
    def prepare(session: str, request: PrepareRequest) -> dict[str, bool]:
        with http_errors():
            return {"encoded": engine.prepare(session, request.network)}

    @router.post("/sessions/{session}/click")
    def click(session: str, request: ClickRequest) -> dict[str, Any]:
        with http_errors():
            prompt = ObjectPrompt(request.name, request.box, tuple(request.points))
            answer = engine.click(session, prompt, request.network)
            return {
                "mask": _text_of(answer.mask),
                "area_px": int(answer.mask.sum()),
                "predicted_iou": round(answer.predicted_iou, 4),
                "refined": answer.refined,
                "encoded": answer.encoded,
                "seconds": round(answer.seconds, 4),
            }

    @router.post("/trace")
    def trace(image: ImageId, request: TraceRequest) -> dict[str, Any]:
        with http_errors():
            path = path_of(image)
            begun = time.perf_counter()
            probability = state.kept_vessels(path)
            mask = trace_vessel(probability, request.start, request.end)
            return {
                "mask": _text_of(mask),
                "area_px": int(mask.sum()),
                "seconds": round(time.perf_counter() - begun, 4),
            }

    @router.post("/analyse")
    def analyse(image: ImageId) -> dict[str, Any]:
        with http_errors():
            result = state.analyse(path_of(image))
            report = result.report
            return plain(
                {
                    "vessels": _text_of(result.vessels),
                    "lesions": report.get("lesions", []),
                    "warnings": report.get("warnings", []),
                    "calibration": report.get("calibration"),
                }
            )

    @router.get("/label")
    def label(image: ImageId) -> dict[str, Any]:
        with http_errors():
            path = path_of(image)
            store = app.datastore()
            uri = store.get_label_uri(image, FINAL)
            if not uri:
                return {"version": "", "objects": []}
            version = store.label_version(image, FINAL)
            height, width = read_pixels(path).shape[:2]
            if not uri.endswith(".png"):
                raise Refused(f"{image}: expected a label as PNG, found {Path(uri).name}")
            found = read_png(Path(uri).read_bytes(), (height, width))
            names = store.get_label_info(image, FINAL).get("label_names") or {}
            named = {int(number): str(name) for name, number in names.items()}
            values = [int(value) for value in np.unique(found) if value]
            objects = [
                {"name": named.get(value, f"object {value}"), "mask": _text_of(found == value)}
                for value in values
            ]
            return {"version": version, "objects": objects}

    @router.put("/label")
    def save(image: ImageId, request: LabelRequest) -> dict[str, Any]:
        with http_errors():
            path = path_of(image)
            size = read_pixels(path).shape[:2]
            names = [one.name for one in request.objects]
            if len(set(names)) < len(names) or not all(NAME.fullmatch(name) for name in names):
                raise Refused(f"expected a name of its own for each object, found {names!r:.200}")
            labels = np.zeros(size, np.uint8)
            for number, one in enumerate(request.objects, 1):
                labels[read_png(_bytes_of(one.mask), size, colours=True) > 127] = number
            info = {
                "label_names": {name: number for number, name in enumerate(names, 1)},
                "network": request.network,
                "clicks": request.clicks,
            }
            with tempfile.NamedTemporaryFile(suffix=".png") as file:
                file.write(png_of(labels))
                file.flush()
                store = app.datastore()
                store.save_label(image, file.name, FINAL, info, expected_version=request.version)
            return {"version": store.label_version(image, FINAL)}

    return router


def _text_of(mask: np.ndarray) -> str:
    """Return a mask (H, W) as a PNG of 0 and 255 in base64."""
    return base64.b64encode(png_of(np.where(mask, 255, 0))).decode()


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"mask: expected a PNG in base64, found {text!r:.40}") from error
