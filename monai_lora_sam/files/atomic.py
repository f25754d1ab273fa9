"""Replace a folder so that a killed run leaves the old version or the new one, whole."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


@contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``folder`` when the block ends without an error.

    The temporary folder lies beside ``folder`` (so on the same file system) under a hidden name. Its files
    are flushed to the disk, then the two folders swap names in one system call (``renameat2`` with
    ``RENAME_EXCHANGE``): at every instant ``folder`` is the whole old version or the whole new one. Where the
    system has no such call the old folder is first renamed to ``.<name>.previous``; a kill between the two
    renames leaves it there, and :func:`recover_folder`, called by every reader of this package, renames it
    back.

    The old folder is deleted with all its files. An error inside the block leaves the old folder untouched.

    Args:
        folder: the folder to create or to replace; its parents are created.

    Raises:
        NotADirectoryError: if ``folder`` exists and is a file.

    Example:
        >>> with atomic_folder("adapters/liver") as temporary:  # doctest: +SKIP
        ...     (temporary / "note.txt").write_text("whole or not at all")
    """
    folder = Path(folder).resolve()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder or nothing, found a file")
    folder.parent.mkdir(parents=True, exist_ok=True)
    recover_folder(folder)
    _remove_leftovers(folder)
    temporary = folder.parent / f"{_prefix(folder)}{os.getpid()}.{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        yield temporary
        _flush(temporary)
        if folder.exists():
            _replace(folder, temporary)
        else:
            os.rename(temporary, folder)
        _flush_entry(folder.parent)
    finally:
        # After a swap the old version carries the temporary name; after an error the unfinished one does.
        shutil.rmtree(temporary, ignore_errors=True)


def recover_folder(folder: str | Path) -> None:
    """Put the old version of ``folder`` back if a run was killed between the two renames of the fallback."""
    folder = Path(folder).resolve()
    previous = _previous(folder)
    if previous.is_dir():
        if folder.exists():
            shutil.rmtree(previous)
        else:
            os.rename(previous, folder)


def _replace(folder: Path, temporary: Path) -> None:
    if _exchange(temporary, folder):
        return
    os.rename(folder, _previous(folder))
    try:
        os.rename(temporary, folder)
    finally:
        recover_folder(folder)


def _exchange(first: Path, second: Path) -> bool:
    """Swap the names of two folders in one step; return False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    if done == 0:
        return True
    error = ctypes.get_errno()
    if error in _UNSUPPORTED:
        return False
    raise OSError(error, os.strerror(error), str(second))


def _previous(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.previous"


def _prefix(folder: Path) -> str:
    return f".{folder.name}.saving.{socket.gethostname()}."


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary folders of this machine's killed runs; those of a live process stay."""
    if os.name != "posix":  # elsewhere asking whether a process lives may end it
        return
    prefix = _prefix(folder)
    for leftover in folder.parent.iterdir():
        if not leftover.name.startswith(prefix):
            continue
        process = leftover.name.removeprefix(prefix).partition(".")[0]
        if process.isdigit() and int(process) != os.getpid() and not _is_alive(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _flush_entry(path)
    _flush_entry(folder)


def _flush_entry(path: Path) -> None:
    if os.name != "posix":  # elsewhere a folder, or a file opened for reading, cannot be flushed
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
