"""Inference and active learning without blocking the server, on images of the datastore alone."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, BackgroundTasks, Body, Depends, File, Form, UploadFile
from monailabel.config import settings
from monailabel.endpoints.activelearning import sample
from monailabel.endpoints.infer import ResultType, send_response
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.utils.others.generic import remove_file

from label_app.errors import Refused, http_errors

if TYPE_CHECKING:
    from label_app.app import LabelApp

#: Entries that belong into the address and not into the parameters, where they would name any file.
ADDRESS_ONLY = ("image", "model", "file", "label", "session", "save_label", "label_tag")
#: Largest upload in bytes.
LARGEST_UPLOAD = 2 * 2**30


def infer_router(app: LabelApp) -> APIRouter:
    """Return routes in place of MONAI Label's own, which are coroutines with a synchronous body.

    Such a body holds up every other request, ``/info/`` included. A plain function runs in a thread.
    """
    router = APIRouter(tags=["Infer"])
    user = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))

    @router.post("/infer/{model}")
    def infer(
        background: BackgroundTasks,
        model: str,
        image: str = "",
        session_id: str = "",
        params: str = Form("{}"),
        file: UploadFile = File(None),  # noqa: B008
        output: ResultType | None = None,
        user: User = user,
    ) -> Any:
        with http_errors():
            if model not in app._infers:
                raise KeyError(f"expected a model of {sorted(app._infers)}, found {model!r:.80}")
            if output == ResultType.dicom_seg:
                raise Refused("output: expected image, json or all, found dicom_seg")
            request = {**_parameters(params), "model": model, "image": image}
            if session_id:
                session = app.sessions().get_session(session_id)
                if session is None:
                    raise KeyError(f"expected an open session, found {session_id!r:.80}")
                request["image"] = session.image
            elif file is not None:
                request["image"] = _keep_upload(file)
                background.add_task(remove_file, request["image"])
            elif not image:
                raise Refused("expected an image, a file or a session, found none")
            result = app.infer(request, uploaded=bool(session_id) or file is not None)
            return send_response(app.datastore(), result, output, background)

    @router.post("/activelearning/{strategy}")
    def next_image(strategy: str, params: dict | None = Body(None), user: User = user) -> Any:  # noqa: B008
        with http_errors():
            if strategy not in app._strategies:
                raise KeyError(f"expected a strategy of {sorted(app._strategies)}, found {strategy!r:.80}")
            return sample(strategy, params, user.username)

    return router


def _parameters(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise Refused(f"params: expected JSON, found {text!r:.80} ({error})") from error
    if not isinstance(found, dict):
        raise Refused(f"params: expected an object, found {text!r:.80}")
    if taken := sorted(set(found) & set(ADDRESS_ONLY)):
        raise Refused(f"params: expected no {', '.join(taken)}, which belong into the address")
    return found


def _keep_upload(file: UploadFile) -> str:
    suffix = "".join(Path(file.filename or "").suffixes[-2:]) or ".nii.gz"
    if not all(one.isalnum() or one == "." for one in suffix):
        raise Refused(f"file: expected a plain ending, found {suffix!r:.40}")
    with tempfile.NamedTemporaryFile(suffix=suffix, delete=False) as kept:
        left = LARGEST_UPLOAD
        while block := file.file.read(2**20):
            left -= len(block)
            if left < 0:
                Path(kept.name).unlink()
                raise Refused(f"file: expected up to {LARGEST_UPLOAD} bytes, found more")
            kept.write(block)
    return kept.name
