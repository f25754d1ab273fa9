"""Names offered by packages: the shipped ones, unknown ones, and one name offered twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.registry import Registry


def install(folder: Path, name: str, entry: str) -> None:
    """Lay down a distribution that offers one entry, as an installer would."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[toys]\n{entry}\n")


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_an_object_is_loaded_by_its_name(toys: Path):
    install(toys, "ball-maker", "ball = math:pi")
    registry = Registry("toys", "toy")
    assert registry.names() == ["ball"]
    assert registry.load("ball") == pytest.approx(3.14159, abs=1e-5)


def test_nothing_is_imported_before_it_is_asked_for(toys: Path):
    install(toys, "broken", "broken = module_that_is_missing:thing")
    registry = Registry("toys", "toy")
    assert registry.names() == ["broken"]
    with pytest.raises(ModuleNotFoundError, match="module_that_is_missing"):
        registry.load("broken")


def test_an_unknown_name_gives_the_known_ones_and_the_nearest(toys: Path):
    install(toys, "ball-maker", "ball = math:pi")
    with pytest.raises(ValueError, match=r"toy: expected one of \['ball'\], found 'bal' \(nearest: 'ball'\)"):
        Registry("toys", "toy").load("bal")
    with pytest.raises(ValueError, match=r"found 'train'$"):
        Registry("toys", "toy").load("train")


def test_a_name_that_two_packages_offer_is_refused(toys: Path):
    install(toys, "one", "ball = math:pi")
    install(toys, "other", "ball = math:e")
    with pytest.raises(ValueError, match=r"toy 'ball': expected one package to offer it, found math:"):
        Registry("toys", "toy").names()


def test_the_wing_is_registered_as_any_package():
    assert {"segmentation", "view_segmentation", "lesions"} <= set(
        Registry("monai_lora_sam.heads", "head").names()
    )
