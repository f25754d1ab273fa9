"""Errors of requests, and the HTTP status that each has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

from monai_lora_sam.serving import ImageChanged, SessionExpired


class Refused(ValueError):
    """Tell that a request asks for something that is not allowed or makes no sense."""


class Conflict(RuntimeError):
    """Tell that somebody else changed the same thing meanwhile."""


#: HTTP status by the type of the error; the first that fits counts.
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (SessionExpired, 410),
    (ImageNotFoundException, 404),
    (LabelNotFoundException, 404),
    (Conflict, 409),
    (ImageChanged, 409),
    (KeyError, 404),
    (FileNotFoundError, 404),
    (ValueError, 400),
)


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of an error that a request caused, or None for one of the server's own."""
    if isinstance(error, MONAILabelException) and error.error == MONAILabelError.INVALID_INPUT:
        return 400
    return next((status for kind, status in STATUS if isinstance(error, kind)), None)


def message_of(error: Exception) -> str:
    """Return an error's text in one line."""
    text = getattr(error, "msg", None) or (
        error.args[0] if isinstance(error, KeyError) and error.args else error
    )
    return " ".join(str(text).split())


@contextmanager
def http_errors() -> Iterator[None]:
    """Turn errors that a request caused into HTTP errors; others stay, and become a 500 with a traceback in the log."""
    try:
        yield
    except HTTPException:
        raise
    except Exception as error:
        status = status_of(error)
        if status is None:
            raise
        raise HTTPException(status, message_of(error)) from error


async def answer_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an error that MONAI Label's own endpoints let through."""
    status = status_of(error)
    return JSONResponse({"detail": message_of(error)}, 500 if status is None else status)


async def answer_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    """Answer a request of another form than the route's, in words and without its values, which JSON may not hold."""
    problems = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
    return JSONResponse({"detail": "; ".join(problems[:10])}, 422)
