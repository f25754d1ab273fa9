"""Name temporary files and folders so that the next writer can tell those of killed runs."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import time
from pathlib import Path

#: Age in days from which on a temporary of a process that cannot be asked for (another machine, Windows) is left over:
#: no save takes so long.
LEFT_AFTER_DAYS = 7
TAG = r"[0-9a-f]{8}-\d+-[0-9a-f]{8}"


def new_tag() -> str:
    """Return a name part that says which process of which machine writes."""
    return f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"


def is_left_over(path: Path, tag: str) -> bool:
    """Tell whether the process that a tag names has ended without removing `path`."""
    machine, process, _ = tag.split("-")
    if machine == _machine() and os.name == "posix":  # elsewhere asking whether a process lives may end it
        return int(process) != os.getpid() and not _is_alive(int(process))
    try:
        return time.time() - path.lstat().st_mtime > LEFT_AFTER_DAYS * 86400
    except OSError:  # its writer has just finished
        return False


def siblings_of(folder: Path, pattern: str) -> list[tuple[Path, str]]:
    """Return the entries of a folder whose whole name matches a pattern, each with the pattern's group `tag`."""
    if not folder.is_dir():
        return []
    found = ((path, re.fullmatch(pattern, path.name)) for path in folder.iterdir())
    return sorted((path, match["tag"]) for path, match in found if match)


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
