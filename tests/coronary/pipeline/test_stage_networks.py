"""Stages on one encoder: which belong together, and that no features are computed twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from monai_lora_sam.coronary.networks import LesionDetector
from monai_lora_sam.coronary.pipeline import StageNetworks, shipped_stages
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import build_segmenter
from monai_lora_sam.stages import new_stage, save_stage

IMAGE = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(3))
VIEW = torch.tensor([[30.0, -20.0]])


def count_passes(networks: StageNetworks) -> list[tuple[str, ...]]:
    """Return a list that grows by the active adapters whenever the encoder runs."""
    passes: list[tuple[str, ...]] = []
    networks.stack.encoder.register_forward_hook(lambda *_: passes.append(tuple(networks.stack.active)))
    return passes


@pytest.mark.parametrize(
    ("count", "passes"),
    [
        (1, [("vessels",)]),
        (2, [("vessels",), ("vessels", "segments")]),
        (3, [("vessels",), ("vessels", "segments")]),
    ],
)
def test_the_encoder_runs_once_for_each_set_of_adapters(
    stages: SimpleNamespace, count: int, passes: list[tuple[str, ...]]
):
    folders = [stages.vessels, stages.segments, stages.stenosis][:count]
    networks = StageNetworks.load(*folders, pretrained=stages.base).eval()
    found = count_passes(networks)
    with torch.inference_mode():
        outputs = networks(IMAGE, VIEW)
    assert found == passes
    assert [outputs.vessels is not None, outputs.segments is not None, outputs.lesions is not None] == [
        index < count for index in range(3)
    ]


def test_outputs_are_those_of_each_stage_alone(stages: SimpleNamespace):
    """Shared features change nothing, and later stages leave the output of the earlier ones bit-equal."""
    networks = StageNetworks.load(stages.vessels, stages.segments, stages.stenosis, stages.base).eval()
    alone = StageNetworks.load(stages.vessels, pretrained=stages.base).eval()
    with torch.inference_mode():
        outputs = networks(IMAGE, VIEW)
        assert torch.equal(outputs.vessels, alone(IMAGE, VIEW).vessels)
        assert networks.segments is not None and networks.stenosis is not None
        assert torch.equal(outputs.segments, networks.segments(IMAGE, view=VIEW))
        expected = networks.stenosis(IMAGE, VIEW)
    assert outputs.lesions is not None
    assert all(torch.equal(outputs.lesions[name], expected[name]) for name in expected)


@pytest.mark.parametrize("size", [(50, 43), (57, 70), (128, 96)])
def test_images_of_any_size(stages: SimpleNamespace, size: tuple[int, int]):
    """Padding right and below: maps have the image's size, and all stages agree with each other."""
    networks = StageNetworks.load(stages.vessels, stages.segments, stages.stenosis, stages.base).eval()
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        outputs = networks(image, VIEW[:1])
        assert outputs.vessels.shape == (1, 1, *size)
        assert outputs.segments is not None and outputs.segments.shape == (1, 26, *size)
        assert networks.segments is not None and networks.stenosis is not None
        assert torch.equal(outputs.vessels, networks.vessels(image, view=VIEW[:1]))
        assert torch.equal(outputs.segments, networks.segments(image, view=VIEW[:1]))
        alone = networks.stenosis(image, VIEW[:1])
    assert outputs.lesions is not None
    assert all(torch.equal(outputs.lesions[name], alone[name]) for name in ("heatmap", "score"))


def test_a_frozen_stage_2_needs_one_pass(random_segmenter: Callable):
    vessels = random_segmenter("lora")
    segments = build_segmenter(
        vessels.stack,
        "view_segmentation",
        out_channels=26,
        name="segments",
        strategy="frozen",
        width=8,
        mixed_precision=False,
    )
    networks = StageNetworks(vessels, segments).eval()
    found = count_passes(networks)
    with torch.inference_mode():
        networks(IMAGE)
    assert found == [("vessels",)]


def test_cards_and_identity(stages: SimpleNamespace, make_stages: Callable, tmp_path: Path):
    networks = StageNetworks.load(stages.vessels, stages.segments, stages.stenosis, stages.base)
    assert [row["stage"] for row in networks.cards()] == ["vessels", "segments", "stenosis"]
    assert [row["strategy"] for row in networks.cards()] == ["lora", "lora", "frozen"]
    again = StageNetworks.load(stages.vessels, stages.segments, stages.stenosis, stages.base)
    assert networks.identity() == again.identity() is not None
    assert networks.identity() != StageNetworks.load(stages.vessels, pretrained=stages.base).identity()
    other = make_stages(tmp_path, seed=1)
    others = StageNetworks.load(other.vessels, other.segments, other.stenosis, other.base)
    assert others.identity() != networks.identity()


def test_what_was_never_saved_has_no_identity(random_detector: Callable[..., LesionDetector]):
    detector = random_detector()
    assert StageNetworks(detector.vessels, detector.segments, detector).identity() is None


def test_stage_3_needs_stage_2(stages: SimpleNamespace, random_detector: Callable[..., LesionDetector]):
    with pytest.raises(ValueError, match=r"expected stage 2 \(segments\) below"):
        StageNetworks.load(stages.vessels, None, stages.stenosis, stages.base)
    detector = random_detector()
    with pytest.raises(ValueError, match=r"expected stage 2 \(segments\) below"):
        StageNetworks(detector.vessels, None, detector)


def test_stages_must_be_those_that_stage_3_reads(random_detector: Callable[..., LesionDetector]):
    detector = random_detector()
    other = build_segmenter(
        detector.stack,
        "view_segmentation",
        out_channels=26,
        name="others",
        width=8,
        mixed_precision=False,
    )
    with pytest.raises(ValueError, match="expected it to read the stages given"):
        StageNetworks(detector.vessels, other, detector)


def test_stages_must_share_a_stack(random_detector: Callable[..., LesionDetector]):
    with pytest.raises(ValueError, match="expected all stages on one adapter stack, found several"):
        StageNetworks(random_detector().vessels, random_detector().segments)


def test_stages_in_the_wrong_place_are_told_by_their_maps(random_detector: Callable[..., LesionDetector]):
    detector = random_detector()
    with pytest.raises(ValueError, match="stage 1: expected 1 logit map, found 26"):
        StageNetworks(detector.segments)
    with pytest.raises(ValueError, match="stage 2: expected 26 logit maps, found 1"):
        StageNetworks(detector.vessels, detector.vessels)


def test_an_adapter_of_another_parent_version_is_refused(stages: SimpleNamespace, tmp_path: Path):
    """Stage 2 was trained on one version of `vessels`; a later version of it must not be put below."""
    later = new_stage(
        build_encoder("tiny", stages.base, 56),
        stages.vessels,
        head="view_segmentation",
        lora={"r": 2},
        mixed_precision=False,
    )
    for parameter in later.stack.parameters():
        parameter.data += 0.1 if parameter.requires_grad else 0
    folder = save_stage(later, tmp_path / "later", task="vessels", class_names=["vessel"], version="2")
    with pytest.raises(ValueError, match=r"segments.*expected.*vessels.*found"):
        StageNetworks.load(folder, stages.segments, pretrained=stages.base)


def test_another_head_below_stage_3_is_refused(stages: SimpleNamespace, tmp_path: Path):
    """Only the head of stage 1 differs: its adapter is the same, so that stage 2 takes it, but not stage 3."""
    network = new_stage(
        build_encoder("tiny", stages.base, 56),
        stages.vessels,
        head="view_segmentation",
        lora={"r": 2},
        mixed_precision=False,
    )
    network.head.classify.bias.data += 1
    folder = save_stage(network, tmp_path / "vessels", task="vessels", class_names=["vessel"])
    with pytest.raises(ValueError, match="another version of it than this stage was trained on"):
        StageNetworks.load(folder, stages.segments, stages.stenosis, stages.base)


def test_shipped_stages_come_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert shipped_stages(1) == {"vessels": SHIPPED / "vessels"}
    monkeypatch.setattr("monai_lora_sam.coronary.pipeline.stage_networks.SHIPPED", tmp_path)
    for name in ("vessels", "stenosis"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").touch()
    assert list(shipped_stages()) == ["vessels"]  # stage 3 without stage 2 is of no use
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "card.json").touch()
    assert list(shipped_stages()) == ["vessels", "segments", "stenosis"]
    assert list(shipped_stages(2)) == ["vessels", "segments"]
    with pytest.raises(ValueError, match="expected 1, 2 or 3, found 4"):
        shipped_stages(4)


def test_a_folder_in_the_wrong_place_is_named():
    with pytest.raises(ValueError, match=r"segments: expected its parent 'vessels' with fingerprint \w+"):
        StageNetworks.load(SHIPPED / "segments")
    with pytest.raises(ValueError, match="vessels_phantom: an adapter 'vessels' is on the stack already"):
        StageNetworks.load(SHIPPED / "vessels", SHIPPED / "vessels_phantom")
