"""Objects of installed packages, found by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from monai_lora_sam.registry import Registry


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that puts a distribution with entry points in the group `toys` on the path."""

    def make(name: str, **entries: str) -> None:
        info = tmp_path / name / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"{key} = {value}\n" for key, value in entries.items())
        (info / "entry_points.txt").write_text(f"[toys]\n{lines}")
        monkeypatch.syspath_prepend(tmp_path / name)

    return make


def test_names_and_objects_are_those_of_importlib(install: Callable[..., None]):
    install("toy", path="pathlib:Path", join="os.path:join")
    toys = Registry("toys", "toy")
    assert toys.names() == sorted(entry_points(group="toys").names) == ["join", "path"]
    assert toys.load("path") is Path


def test_an_unknown_name_is_answered_with_the_nearest(install: Callable[..., None]):
    install("toy", path="pathlib:Path")
    with pytest.raises(
        ValueError, match=r"toy: expected one of \['path'\], found 'paht' \(nearest: 'path'\)"
    ):
        Registry("toys", "toy").load("paht")
    with pytest.raises(ValueError, match=r"found 'xyz'$"):
        Registry("toys", "toy").load("xyz")


def test_a_name_that_two_packages_offer_is_refused_and_others_stay_usable(install: Callable[..., None]):
    install("toy", path="pathlib:Path")
    install("rival", path="os:path", join="os.path:join")
    toys = Registry("toys", "toy")
    with pytest.raises(ValueError, match="toy 'path': expected one package to offer it, found os:path and"):
        toys.load("path")
    assert toys.names() == ["join", "path"] and toys.load("join")("a", "b") == "a/b"


def test_a_group_that_no_package_fills_is_empty():
    assert Registry("toys", "toy").names() == []
