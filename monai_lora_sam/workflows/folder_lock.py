"""Keep a second training out of a folder."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from filelock import FileLock, Timeout

from monai_lora_sam.files import atomic_write

#: Locks of this process by folder. The system gives a lock back when its process ends, however it ends.
_HELD: dict[Path, FileLock] = {}


def lock_folder(folder: str | Path) -> None:
    """Lock a folder for this process until :func:`release_folder` or the end of the process.

    Of several processes that train together, the first one holds the lock.

    Raises:
        ValueError: another process holds it; its number and its computer are named.

    Example:
        >>> lock_folder("models/vessels")  # doctest: +SKIP
    """
    folder = Path(folder).resolve()
    if folder in _HELD or int(os.environ.get("RANK", "0")) > 0:
        return
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / ".training.json"
    lock = FileLock(folder / ".training.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"{folder}: expected no other training in this folder, found {_describe(owner)} (end it, or give "
            "another output_dir)"
        ) from error
    _HELD[folder] = lock
    about = {"process": os.getpid(), "computer": socket.gethostname(), "since": time.strftime("%F %H:%M")}
    atomic_write(owner, json.dumps(about))


def release_folder(folder: str | Path) -> None:
    """Release a folder that this process has locked; another one is left alone."""
    folder = Path(folder).resolve()
    lock = _HELD.pop(folder, None)
    if lock is not None:
        (folder / ".training.json").unlink(missing_ok=True)
        lock.release()
        (folder / ".training.lock").unlink(missing_ok=True)


def _describe(owner: Path) -> str:
    try:
        about = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {about['process']} on {about['computer']} since {about['since']}"
    except (OSError, ValueError, KeyError):
        return "a process"
