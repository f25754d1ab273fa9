"""The package is built as docs/architecture.md says: order of the rooms, size of the files, top level."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "monai_lora_sam"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(PACKAGE.rglob("*.py"))
WITHOUT_TORCH = ("anatomy", "images", "vessel_tree", "qca")


def _section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _first_cells(title: str) -> list[str]:
    rows = re.findall(r"^\| (`.*?) \|", _section(title), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


ROOMS = _first_cells("Rooms")


def _room(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def _imports(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """Yield the absolute names of all modules that a source imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            # `from package import room` names the room only in what it imports.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _imports_of(file: Path) -> set[str]:
    package = file.relative_to(REPOSITORY).parts[:-1]
    return set(_imports(file.read_text(encoding="utf-8"), package))


def test_relative_and_absolute_imports_are_understood():
    source = "import torch.nn\nfrom . import a\nfrom ..b import c\nfrom p.d import e\ndef f():\n    from .g import h"
    assert set(_imports(source, ("p", "q"))) == {"torch.nn", "p.q.a", "p.b.c", "p.d.e", "p.q.g.h"}


def test_the_table_lists_every_room():
    found = {_room(file) for file in FILES} - {"__init__"}
    assert len(ROOMS) == len(set(ROOMS))
    assert set(ROOMS) == found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_above_it(room):
    allowed = {*ROOMS[: ROOMS.index(room) + 1], "__version__"}
    wrong = [
        f"{file.relative_to(REPOSITORY)} imports {name}"
        for file in FILES
        if _room(file) == room
        for name in _imports_of(file)
        if name.startswith("monai_lora_sam.") and name.split(".")[1] not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_rooms_without_torch(room):
    heavy = {"torch", "torchvision", "monai", "transformers", "peft"}
    files = [file for file in FILES if _room(file) == room]
    assert files
    assert not [
        (file.name, name) for file in files for name in _imports_of(file) if name.split(".")[0] in heavy
    ]


def test_importing_a_room_without_torch_loads_no_torch():
    code = "; ".join(f"import monai_lora_sam.{room}" for room in WITHOUT_TORCH)
    code += "; import sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_no_file_is_longer_than_400_lines():
    lengths = {str(f.relative_to(REPOSITORY)): len(f.read_text(encoding="utf-8").splitlines()) for f in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_the_top_level_is_the_documented_one():
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    if listing.returncode:
        pytest.skip("no git checkout")
    entries = {line.split("/")[0] + ("/" if "/" in line else "") for line in listing.stdout.splitlines()}
    documented = {name if name != ".ci/run" else ".ci/" for name in _first_cells("Top level")}
    assert entries == documented
