"""Replace a folder so that a killed run leaves the old version or the new one, whole."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_lora_sam.files.leftovers import TAG, is_left_over, new_tag, siblings_of

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
#: Name of an old version inside the folder that it is moved into.
_REPLACED = "replaced"
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


@contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``folder`` when the block ends without an error.

    The temporary folder lies beside ``folder`` (so on the same file system) under a hidden name. Its files
    are flushed to the disk, then the two folders swap names in one system call (``renameat2`` with
    ``RENAME_EXCHANGE``): at every instant ``folder`` is the whole old version or the whole new one. Where the
    system has no such call the old folder is first moved aside, into ``.<name>.previous.<writer>/replaced``; a
    kill between the two renames leaves it there. Readers find it by :func:`current_folder`, and the next writer
    puts it back.

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
    _recover(folder)
    temporary = folder.parent / f".{folder.name}.saving.{new_tag()}"
    temporary.mkdir()
    try:
        yield temporary
        _flush(temporary)
        _replace(folder, temporary)
        _flush_entry(folder.parent)
    finally:
        # After a swap the old version carries the temporary name; after an error the unfinished one does.
        shutil.rmtree(temporary, ignore_errors=True)


def current_folder(folder: str | Path) -> Path:
    """Return ``folder``, or where its version lies that a writer has moved aside and not yet replaced.

    Nothing on the disk is changed.
    """
    folder = Path(folder)
    for _ in range(2):  # a writer may put the new version in place between the two looks
        if folder.exists():
            return folder
        for aside, _ in _moved_aside(folder):
            if (aside / _REPLACED).is_dir():
                return aside / _REPLACED
    return folder


def folder_moved_aside(path: str | Path) -> Path | None:
    """Return the folder whose version lies in ``path``, if ``path`` is one that a writer has moved aside."""
    path = Path(path)
    match = re.fullmatch(rf"\.(?P<name>.+)\.previous\.{TAG}", path.parent.name)
    return path.parent.with_name(match["name"]) if match and path.name == _REPLACED else None


def _moved_aside(folder: Path) -> list[tuple[Path, str]]:
    """Return the folders that hold an old version of ``folder`` and nothing else, with the tags of their writers."""
    pattern = rf"\.{re.escape(folder.name)}\.previous\.(?P<tag>{TAG})"
    return [(path, tag) for path, tag in siblings_of(folder.parent, pattern) if _names(path) <= {_REPLACED}]


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:  # no folder, or gone in between
        return {""}


def _recover(folder: Path) -> None:
    """Put back the version that a killed writer moved aside, and remove the rest that killed writers left."""
    for aside, tag in _moved_aside(folder):
        if is_left_over(aside, tag):
            if not folder.exists() and (aside / _REPLACED).is_dir():
                os.rename(aside / _REPLACED, folder)
            shutil.rmtree(aside, ignore_errors=True)
    pattern = rf"\.{re.escape(folder.name)}\.saving\.(?P<tag>{TAG})"
    for unfinished, tag in siblings_of(folder.parent, pattern):
        if is_left_over(unfinished, tag):
            shutil.rmtree(unfinished, ignore_errors=True)


def _replace(folder: Path, temporary: Path) -> None:
    while folder.exists():
        if _exchange(temporary, folder):
            return
        aside = folder.parent / f".{folder.name}.previous.{new_tag()}"
        aside.mkdir()
        try:
            _rename(folder, aside / _REPLACED)
            try:
                _rename(temporary, folder)
                return
            except OSError:
                if folder.exists():  # another writer was quicker; its version is replaced in the next round
                    continue
                os.rename(aside / _REPLACED, folder)
                raise
        finally:
            if folder.exists():
                shutil.rmtree(aside, ignore_errors=True)
    _rename(temporary, folder)


def _rename(old: Path, new: Path) -> None:
    """Rename a folder; wait up to a second for readers, whose open files keep Windows from renaming."""
    for _ in range(50):
        try:
            return os.rename(old, new)
        except PermissionError:
            if os.name == "posix":
                raise
            time.sleep(0.02)
    os.rename(old, new)


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
