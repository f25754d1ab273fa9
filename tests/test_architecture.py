"""The package is built as docs/architecture.md says: two wings, order of the rooms, public names, size of the files.

``python tests/test_architecture.py`` prints how many rooms, arrows between rooms and circles there are.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
NAME = "monai_lora_sam"
PACKAGE = REPOSITORY / NAME
WING = "coronary"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(PACKAGE.rglob("*.py"))
WITHOUT_TORCH = (
    "files",
    "images",
    "index",
    "registry",
    "coronary.anatomy",
    "coronary.boxes",
    "coronary.images",
    "coronary.polyline",
    "coronary.vessel_tree",
    "coronary.qca",
)


def _section(title: str) -> str:
    return re.split(r"\n##+ ", PAGE.split(f" {title}\n", 1)[1])[0]


def _first_cells(title: str) -> list[str]:
    rows = re.findall(r"^\| (`.*?) \|", _section(title), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


CORE = _first_cells("Core rooms")
CORONARY = [f"{WING}.{name}" for name in _first_cells("Coronary rooms")]
ROOMS = CORE + CORONARY


def _room(parts: tuple[str, ...]) -> str:
    """Return the room of a module's path below the package; "" for the package itself."""
    if parts[:1] == (WING,):
        return ".".join(parts[:2])
    return parts[0] if parts and parts[0] != "__init__" else ""


def _room_of(file: Path) -> str:
    return _room(file.relative_to(PACKAGE).with_suffix("").parts)


def _imports(source: str, package: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield module and name of every import of a source, inside functions too; "" for a module as a whole."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            yield from ((module, alias.name) for alias in node.names)


@cache
def _imports_of(file: Path) -> set[tuple[str, str]]:
    package = file.relative_to(REPOSITORY).parts[:-1]
    return set(_imports(file.read_text(encoding="utf-8"), package))


def _imported_rooms(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield room, module and name of each import from another room."""
    for module, name in _imports_of(file):
        parts = tuple(module.split("."))
        if parts[0] != NAME:
            continue
        room = _room((*parts[1:], *filter(None, [name])))
        if room not in ("", "__version__", _room_of(file)):
            yield room, module, name


def _arrows() -> set[tuple[str, str]]:
    return {(_room_of(file), room) for file in FILES for room, _, _ in _imported_rooms(file)}


def _circles() -> list[set[str]]:
    """Return the sets of rooms that import each other, directly or through others."""
    arrows = _arrows()
    reach = {room: {to for at, to in arrows if at == room} for room in ROOMS}
    for _ in ROOMS:
        reach = {at: to.union(*(reach.get(room, set()) for room in to)) for at, to in reach.items()}
    return [{a, b} for a in ROOMS for b in ROOMS if a < b and b in reach[a] and a in reach[b]]


@cache
def _public(room: str) -> frozenset[str]:
    path = PACKAGE.joinpath(*room.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def test_relative_and_absolute_imports_are_understood():
    source = "import torch.nn\nfrom . import a\nfrom ..b import c\nfrom p.d import e\ndef f():\n    from .g import h"
    expected = {("torch.nn", ""), ("p.q", "a"), ("p.b", "c"), ("p.d", "e"), ("p.q.g", "h")}
    assert set(_imports(source, ("p", "q"))) == expected


def test_the_tables_list_every_room():
    found = {_room_of(file) for file in FILES} - {"", f"{WING}.__init__"}
    assert len(ROOMS) == len(set(ROOMS))
    assert set(ROOMS) == found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_above_it(room: str):
    """So the core imports nothing of the coronary wing, and there is no circle."""
    allowed = ROOMS[: ROOMS.index(room)]
    wrong = [
        f"{file.relative_to(REPOSITORY)} imports {name or module}"
        for file in FILES
        if _room_of(file) == room
        for other, module, name in _imported_rooms(file)
        if other not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_public_names_of_others(room: str):
    wrong = [
        f"{file.relative_to(REPOSITORY)}: from {module} import {name}"
        for file in FILES
        if _room_of(file) == room
        for other, module, name in _imported_rooms(file)
        if module != f"{NAME}.{other}" or name not in _public(other)
    ]
    assert not wrong


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_rooms_without_torch(room: str):
    heavy = {"torch", "torchvision", "monai", "transformers", "peft"}
    files = [file for file in FILES if _room_of(file) == room]
    assert files
    found = [(file.name, module) for file in files for module, _ in _imports_of(file)]
    assert not [(name, module) for name, module in found if module.split(".")[0] in heavy]


def test_importing_a_room_without_torch_loads_no_torch():
    code = "; ".join(f"import {NAME}.{room}" for room in WITHOUT_TORCH)
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


if __name__ == "__main__":
    print(f"{len(CORE)} core rooms, {len(CORONARY)} coronary rooms")
    print(f"{len(_arrows())} arrows between rooms, {len(_circles())} circles")
