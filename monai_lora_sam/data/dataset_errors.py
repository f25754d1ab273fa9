"""Collect the errors of a data set and raise them together."""

from __future__ import annotations

from pathlib import Path


class DatasetError(ValueError):
    """Report all errors of a data set together, by file.

    Attributes:
        errors: file → list of messages.
    """

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        count = sum(map(len, errors.values()))
        lines = [f"{count} problem(s) in {len(errors)} file(s):"]
        for file in sorted(errors):
            lines.append(f"  {file}")
            lines.extend(f"    - {message}" for message in errors[file])
        super().__init__("\n".join(lines))


class ErrorList:
    """Gather the errors of a data set while it is read, and raise them at the end.

    Example:
        >>> errors = ErrorList()
        >>> errors.add("a.png", "a.png: expected a mask, found only background")
        >>> errors.by_file
        {'a.png': ['expected a mask, found only background']}
    """

    def __init__(self) -> None:
        self.by_file: dict[str, list[str]] = {}

    def add(self, file: str | Path, message: str) -> None:
        """Note one error of a file; a message that starts with the file's name loses it."""
        self.by_file.setdefault(str(file), []).append(message.removeprefix(f"{file}: "))

    def raise_if_any(self) -> None:
        """Raise `DatasetError` if any error was noted."""
        if self.by_file:
            raise DatasetError(self.by_file)
