"""The detector on disk: written, read back on its two stages, and refused on others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from monai_lora_sam.adapters import AdapterStack, read_card
from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.networks import LesionDetector
from monai_lora_sam.stages import load_stage, new_stage, save_stage

IMAGE = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(3))
VIEW = torch.tensor([[30.0, -20.0]])


class Saved(NamedTuple):
    detector: LesionDetector
    vessels: Path
    segments: Path
    stenosis: Path


@pytest.fixture
def save(random_detector: Callable, tmp_path: Path) -> Callable[..., Saved]:
    def make(strategy: str = "frozen", seed: int = 0) -> Saved:
        folder = tmp_path / f"{strategy}_{seed}"
        detector = random_detector(strategy, seed)
        # The stages below are written first, as they were trained first.
        save_stage(detector.vessels, folder / "vessels", task="vessels", class_names=["vessel"])
        save_stage(detector.segments, folder / "segments", task="segments", class_names=ARCADE_CLASS_NAMES)
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in detector.parameters():
                if parameter.requires_grad:
                    parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
        save_stage(detector, folder / "stenosis", task="stenosis", class_names=["stenosis"])
        return Saved(detector, folder / "vessels", folder / "segments", folder / "stenosis")

    return make


def reads(saved: Saved) -> dict[str, Path]:
    return {"vessels": saved.vessels, "segments": saved.segments}


def output(detector: LesionDetector) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return detector.eval()(IMAGE, view=VIEW)


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def load(saved: Saved, encoder) -> LesionDetector:
    stack = AdapterStack(encoder)
    vessels = load_stage(saved.vessels, stack, mixed_precision=False)
    segments = load_stage(saved.segments, stack, mixed_precision=False)
    return load_stage(saved.stenosis, reads={"vessels": vessels, "segments": segments}, mixed_precision=False)


@pytest.mark.parametrize("strategy", ["frozen", "full"])
def test_what_is_read_back_gives_the_same_bits(strategy: str, save: Callable, random_encoder: Callable):
    saved = save(strategy)
    loaded = load(saved, random_encoder())
    assert equal(output(loaded), output(saved.detector))
    assert (loaded.name, loaded.strategy, loaded.adapters) == ("stenosis", strategy, ("vessels", "segments"))
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def test_the_card_says_what_it_reads(save: Callable):
    saved = save()
    card = read_card(saved.stenosis)
    assert set(card["files"]) == {"head.safetensors"}
    assert card["task"] == "stenosis" and card["head"]["width"] == 8
    assert [parent["name"] for parent in card["parents"]] == ["vessels", "segments"]
    assert card["parents"][1]["fingerprint"] == read_card(saved.segments)["fingerprint"]
    assert card["reads"].keys() == {"vessels", "segments"}
    assert set(save("full").stenosis.iterdir()) > {
        saved.stenosis.parent.parent / "full_0/stenosis/encoder_delta.safetensors"
    }


def test_folders_alone_are_enough(save: Callable, tmp_path: Path, random_encoder: Callable):
    from monai_lora_sam.encoders import save_encoder

    saved = save()
    base = save_encoder(random_encoder(), tmp_path / "base") or tmp_path / "base"
    loaded = load_stage(saved.stenosis, reads=reads(saved), pretrained=str(base), mixed_precision=False)
    assert equal(output(loaded), output(saved.detector))


@pytest.mark.parametrize("role", ["vessels", "segments"])
def test_another_head_below_is_refused(role: str, save: Callable, random_encoder: Callable):
    """The same adapters with a head that was trained on: another version, told by the head alone."""
    saved = save()
    stack = AdapterStack(random_encoder())
    below = {name: load_stage(getattr(saved, name), stack) for name in ("vessels", "segments")}
    with torch.no_grad():
        below[role].head.classify.bias += 0.001
    with pytest.raises(ValueError, match=f"reads the stage '{role}' with the head .*another version of it"):
        load_stage(saved.stenosis, reads=below)
    assert "stenosis" not in stack.names


def test_other_adapters_below_are_refused(save: Callable, random_encoder: Callable):
    saved, other = save(), save(seed=0)
    card_before = read_card(saved.segments)["fingerprint"]
    with torch.no_grad():
        for name, parameter in other.detector.stack.named_parameters():
            if "lora_B.segments" in name:
                parameter += 0.01
    other.detector.stack.record("segments").fingerprint = None  # taken anew
    save_stage(other.detector.segments, other.segments, task="segments", class_names=ARCADE_CLASS_NAMES)
    assert read_card(other.segments)["fingerprint"] != card_before
    with pytest.raises(ValueError, match="expected its parent 'segments' with fingerprint"):
        load(saved._replace(segments=other.segments), random_encoder())


def test_a_new_detector_starts_from_a_trained_one(save: Callable, random_encoder: Callable):
    saved = save()
    fresh = new_stage(random_encoder(), reads=reads(saved), head="lesions", width=8, mixed_precision=False)
    assert not equal(output(fresh), output(saved.detector))
    for strategy in ("frozen", "full"):
        going_on = new_stage(
            random_encoder(),
            saved.stenosis,
            reads=reads(saved),
            head="lesions",
            strategy=strategy,
            mixed_precision=False,
        )
        assert equal(output(going_on), output(saved.detector))
        assert any(p.requires_grad for p in going_on.stack.parameters()) == (strategy == "full")


def test_a_full_one_goes_on_by_full_alone(save: Callable, random_encoder: Callable):
    saved = save("full")
    arguments: dict[str, Any] = {"reads": reads(saved), "head": "lesions", "mixed_precision": False}
    going_on = new_stage(random_encoder(), saved.stenosis, strategy="full", **arguments)
    assert equal(output(going_on), output(saved.detector))
    with pytest.raises(ValueError, match="expected to go on by strategy 'full', found 'frozen'"):
        new_stage(random_encoder(), saved.stenosis, strategy="frozen", **arguments)


def test_a_stage_of_another_kind_is_refused(save: Callable, random_encoder: Callable):
    saved = save()
    with pytest.raises(
        ValueError, match=r"expected to read the stages \[\], found \['segments', 'vessels'\]"
    ):
        load_stage(saved.segments, reads=reads(saved))
    with pytest.raises(
        ValueError, match=r"expected to read the stages \['segments', 'vessels'\], found \[\]"
    ):
        load_stage(saved.stenosis, random_encoder())
