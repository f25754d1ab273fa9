"""The detector reads two stages, moves its own parameters, and leaves the stages as they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from monai_lora_sam.coronary.losses import LesionLoss
from monai_lora_sam.coronary.networks import LesionDetector, LesionHead
from monai_lora_sam.coronary.networks.lesion_detector import DETAIL, read_channels

IMAGE = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(3))
VIEW = torch.tensor([[30.0, -20.0], [float("nan"), float("nan")]])
Make = Callable[..., LesionDetector]


def target(*lesions: list[float]) -> torch.Tensor:
    rows = torch.full((2, 16, 8), float("nan"))
    for index, lesion in enumerate(lesions):
        rows[index, 0] = torch.tensor(lesion)
    return rows


TARGET = target([8, 8, 28, 22, 18, 15, 60.0, 2.0], [24, 30, 50, 50, 36, 40, 40.0, 5.0])


def test_it_reads_features_outputs_and_image(random_detector: Make):
    detector = random_detector().eval()
    with torch.no_grad():
        read = detector.read(IMAGE, view=VIEW)
        vessels, segments = detector.vessels, detector.segments
        assert read.shape == (2, read_channels(segments), 16, 16)
        first, also, classes, image, probability = read.split([48, 48, 26, DETAIL**2, DETAIL**2], dim=1)
        assert torch.equal(first, vessels.features(IMAGE)[0])
        assert torch.equal(also, segments.features(IMAGE)[0])
        assert not torch.equal(first, also)
        torch.testing.assert_close(classes.sum(1), torch.ones(2, 16, 16))
        # 56 pixels at 4 samples a cell of 3.5 are 64: the means stay.
        torch.testing.assert_close(image.mean(), IMAGE.mean(), atol=5e-3, rtol=0)
        torch.testing.assert_close(
            probability.mean(), vessels(IMAGE, view=VIEW).sigmoid().mean(), atol=5e-3, rtol=0
        )


def test_given_features_the_encoder_is_not_run(random_detector: Make, monkeypatch: pytest.MonkeyPatch):
    detector = random_detector().eval()
    with torch.no_grad():
        expected = detector(IMAGE, view=VIEW)
        read = detector.read(IMAGE, view=VIEW)
        monkeypatch.setattr(detector.stack, "forward", None)
        given = detector(None, VIEW, features=read)
        half = detector(None, VIEW, features=read.half())
    assert all(torch.equal(given[name], expected[name]) for name in expected)
    torch.testing.assert_close(half["heatmap"], expected["heatmap"], atol=0.02, rtol=0)


def test_the_stages_are_bit_equal_before_and_after(random_detector: Make):
    detector = random_detector()
    with torch.no_grad():
        before = detector.vessels(IMAGE, view=VIEW), detector.segments(IMAGE, view=VIEW)
    train(detector, steps=2)
    with torch.no_grad():
        assert torch.equal(detector.segments(IMAGE, view=VIEW), before[1])
        assert torch.equal(detector.vessels(IMAGE, view=VIEW), before[0])


def train(detector: LesionDetector, steps: int, features: torch.Tensor | None = None) -> list[float]:
    torch.manual_seed(0)
    loss, losses = LesionLoss(detector.head.stride), []
    optimizer = torch.optim.Adam(detector.parameter_groups(0.01, 1e-4))
    detector.train()
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(detector(IMAGE, VIEW, features=features, boxes=TARGET), TARGET)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


@pytest.mark.parametrize("strategy", ["frozen", "full"])
def test_exactly_the_strategys_parameters_move(strategy: str, random_detector: Make):
    detector = random_detector(strategy)
    before = {name: p.detach().clone() for name, p in detector.named_parameters()}
    train(detector, steps=1)
    moved = {name for name, p in detector.named_parameters() if not torch.equal(p, before[name])}
    assert any(name.startswith("head.") for name in moved)
    assert not any(name.startswith(("vessels.head", "segments.head")) for name in moved)
    below = {name for name in moved if name.startswith("stack.")}
    if strategy == "frozen":
        assert not below
    else:
        assert any("lora_A.vessels" in name for name in below) and any(
            "lora_B.segments" in name for name in below
        )
        assert any("lora" not in name for name in below)


def test_full_has_two_rates_and_frozen_one(random_detector: Make):
    assert [group["lr"] for group in random_detector("full").parameter_groups(1e-3, 1e-5)] == [1e-3, 1e-5]
    assert [group["lr"] for group in random_detector("frozen").parameter_groups(1e-3, 1e-5)] == [1e-3]


def test_gradients_of_full_are_those_of_finite_differences(random_detector: Make):
    """Two encoder passes with other adapters in one graph: the gradient of each pass is its own."""
    detector = random_detector("full").double().eval()
    weight = next(p for name, p in detector.stack.named_parameters() if "lora_B.vessels" in name)
    image = IMAGE[:1].double()
    read = detector.read(image)
    scale = torch.linspace(0, 1, read.numel(), dtype=torch.float64).view_as(read)
    (read * scale).sum().backward()
    assert weight.grad is not None
    direction = weight.grad / weight.grad.norm()
    reads = []
    for step in (1e-2, -2e-2):
        with torch.no_grad():
            weight += step * direction
            reads.append(detector.read(image).double())
    expected = ((reads[0] - reads[1]) * scale).sum().item() / 2e-2
    assert weight.grad.norm().item() == pytest.approx(expected, rel=1e-2)


def test_it_learns_two_images_by_heart(random_detector: Make):
    from monai_lora_sam.coronary.networks import decode_lesions

    detector = random_detector()
    with torch.no_grad():
        features = detector.read(IMAGE, view=VIEW)
    losses = train(detector, 120, features)
    assert losses[-1] < 0.2 * losses[0]
    with torch.no_grad():
        output = detector.eval()(None, VIEW, features=features)
    for found, row in zip(decode_lesions(output, [(56, 56)] * 2, 56), TARGET[:, 0].tolist(), strict=True):
        assert len(found) == 1
        assert found[0]["box_xyxy"] == pytest.approx(row[:4], abs=2.5)
        assert found[0]["percent_diameter_stenosis"] == pytest.approx(row[6], abs=10)
        assert found[0]["mld_px"] == pytest.approx(row[7], abs=1.0)


def test_full_with_gradient_checkpointing_is_refused(random_detector: Make):
    detector = random_detector("full")
    detector.stack.encoder.set_gradient_checkpointing(True)
    with pytest.raises(ValueError, match="'full': expected gradient_checkpointing off, found it on"):
        detector(IMAGE)
    with pytest.raises(ValueError, match="'full': expected gradient_checkpointing off, found it on"):
        LesionDetector(detector.vessels, detector.segments, detector.head, "full")
    with torch.no_grad():
        detector(IMAGE)  # nothing is run again without a backward pass


def test_what_does_not_fit_together_is_refused(random_detector: Make):
    one, other = random_detector(), random_detector()
    with pytest.raises(ValueError, match="expected both stages on one stack, found two"):
        LesionDetector(one.vessels, other.segments, one.head)
    with pytest.raises(ValueError, match=r"strategy: expected one of \['frozen', 'full'\], found 'lora'"):
        LesionDetector(one.vessels, one.segments, one.head, "lora")
    with pytest.raises(ValueError, match="expected an image or the features"):
        one(None)
    detector = LesionDetector(one.vessels, one.segments, LesionHead(20, 3.5, 8))
    with pytest.raises(ValueError, match=r"expected a map \(B, 20, h, w\)"):
        detector(IMAGE)
