"""Find the cause of an error that MONAI has wrapped, and end a program's output with it."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

#: Beginnings of the messages with which MONAI wraps the error of a component or an expression.
_WRAPPERS = ("Failed to evaluate", "Failed to instantiate")


def cause_of(error: BaseException) -> BaseException:
    """Return the error that MONAI's own wrap, often several times; another error is returned as it is.

    A device without enough memory becomes a ``MemoryError`` that says which settings need less.
    """
    while error.__cause__ is not None and str(error).startswith(_WRAPPERS):
        error = error.__cause__
    text = str(error)
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:
        return MemoryError(
            f"out of memory: {text.splitlines()[0]} (lower batch_size or image_size, or set gradient_checkpointing)"
        )
    return error


def end_with_the_cause() -> None:
    """Let this program end, on an error that MONAI has wrapped, with the cause as its last line."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _show


def _show(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    cause = cause_of(error)
    if cause is error:
        sys.__excepthook__(kind, error, place)
    elif isinstance(cause, (ValueError, OSError, KeyError, MemoryError)):
        message = cause.args[0] if isinstance(cause, KeyError) and cause.args else cause
        print(f"error: {message}", file=sys.stderr)
    else:
        traceback.print_exception(cause, chain=False)
