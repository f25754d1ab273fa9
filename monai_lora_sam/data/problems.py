"""Collect what is wrong with a data set and report it all at once."""

from __future__ import annotations

from pathlib import Path


class DatasetProblems(ValueError):
    """Report every problem of a data set together, by file.

    Attributes:
        problems: file → list of messages.
    """

    def __init__(self, problems: dict[str, list[str]]) -> None:
        self.problems = problems
        count = sum(map(len, problems.values()))
        lines = [f"{count} problem(s) in {len(problems)} file(s):"]
        for file in sorted(problems):
            lines.append(f"  {file}")
            lines.extend(f"    - {message}" for message in problems[file])
        super().__init__("\n".join(lines))


class ProblemList:
    """Gather problems while a data set is read, and raise them at the end."""

    def __init__(self) -> None:
        self.by_file: dict[str, list[str]] = {}

    def add(self, file: str | Path, message: str) -> None:
        """Note one problem of one file; the file's name at the message's start is not repeated."""
        self.by_file.setdefault(str(file), []).append(message.removeprefix(f"{file}: "))

    def raise_if_any(self) -> None:
        """Raise `DatasetProblems` when anything was noted."""
        if self.by_file:
            raise DatasetProblems(self.by_file)
