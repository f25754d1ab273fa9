"""What the commands share: one console, progress bars, and how errors end a command."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console()
errors = Console(stderr=True)


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Show a bar; call ``advance(done, count)`` of what :func:`bar` returns."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bars:
        yield bars


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can mend (a wrong file, path or value) into one message and exit code 1."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        yield
    except (ValueError, OSError, KeyError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        errors.print(f"[bold red]error:[/] {message}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
