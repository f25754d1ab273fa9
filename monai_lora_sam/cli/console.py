"""Console, progress bars, JSON output and one-line errors of all commands."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, ConsoleDimensions
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from monai_lora_sam.files import atomic_write, check_output_file, printable

#: Columns of output that no terminal shows: enough that no table is cut.
_WIDE = 200


class WideConsole(Console):
    """Write to a terminal at its width, elsewhere at that of ``COLUMNS``, or wide."""

    @property  # type: ignore[misc]
    def size(self) -> ConsoleDimensions:
        if self.is_terminal:
            return super().size
        columns = os.environ.get("COLUMNS", "")
        return ConsoleDimensions(int(columns) if columns.isdigit() else _WIDE, 25)


console = WideConsole()
errors = Console(stderr=True)

STANDARD_OUTPUT = Path("-")
#: Environment variable that shows the traceback of an error that was not foreseen.
TRACEBACK = "MONAI_LORA_SAM_TRACEBACK"


@contextmanager
def progress(items: str) -> Iterator[Progress]:
    """Show progress bars for some items, such as "labels", on standard error while the block runs."""
    columns = (TextColumn(items), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bars:
        yield bars


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors that a user can mend (a wrong file, path or value) into one message and exit code 1."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        yield
    except (ValueError, OSError, KeyError, MemoryError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        errors.print(
            f"[bold red]error:[/] {escape(printable(str(message)))}", highlight=False, soft_wrap=True
        )
        raise typer.Exit(1) from error
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:  # not foreseen: one line for the user, all of it for who looks for the cause
        if os.environ.get(TRACEBACK):
            raise
        line = (str(error).strip().splitlines() or [""])[0]
        text = printable(f"{type(error).__name__}: {line} (set {TRACEBACK}=1 to see where)")
        errors.print(f"[bold red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def write_json(data: Any, file: Path) -> None:
    """Write data as JSON to a file, or to standard output where the file is ``-``."""
    text = json.dumps(data, indent=1, allow_nan=False)
    if file == STANDARD_OUTPUT:
        typer.echo(text)
    else:
        atomic_write(file, text)


def check_json_file(file: Path | None) -> None:
    """Refuse a file for JSON that could not be written, before the work; see `check_output_file`."""
    if file not in (None, STANDARD_OUTPUT):
        check_output_file(file)


def console_beside(json_file: Path | None) -> Console:
    """Return the console for tables and notes: standard error where standard output carries JSON."""
    return errors if json_file == STANDARD_OUTPUT else console
