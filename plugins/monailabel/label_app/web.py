"""Put the app's routes before those of MONAI Label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from monailabel.interfaces.exception import MONAILabelException

from label_app.errors import STATUS, answer_error, answer_invalid
from label_app.infer_route import infer_router
from label_app.page_routes import page_router

if TYPE_CHECKING:
    from label_app.app import LabelApp

PAGE = Path(__file__).resolve().parents[1] / "page"
#: Where the page lies.
PREFIX = "/angiograms"


def install(web: FastAPI, app: LabelApp) -> None:
    """Add the page, its routes and clear errors to MONAI Label's web application.

    MONAI Label builds the app when its web application has started, so that routes come in front of its own, and its
    stack of middleware, which knows the handlers of errors, is made again at the next request.
    """
    before = len(web.router.routes)
    web.include_router(infer_router(app))
    web.include_router(page_router(app), prefix=PREFIX)
    web.mount(PREFIX, StaticFiles(directory=PAGE, html=True), name="angiograms")
    routes = web.router.routes
    routes[:] = [*routes[before:], *routes[:before]]
    for kind in (MONAILabelException, *(kind for kind, _ in STATUS)):
        web.add_exception_handler(kind, answer_error)
    web.add_exception_handler(RequestValidationError, answer_invalid)
    web.middleware_stack = None
