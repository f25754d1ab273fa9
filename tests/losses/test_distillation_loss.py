"""Distillation losses against numbers by hand, torch's distributions, and numerical gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence
from transformers import SamVisionConfig

from monai_lora_sam.encoders.sam import SamEncoder
from monai_lora_sam.losses import (
    DistillationLoss,
    FeatureProjection,
    feature_distance,
    mask_divergence,
    valid_area,
)


def random(*shape: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_features_by_hand() -> None:
    """Variance (1 - 2)² + (3 - 2)² + (0 - 2)² + (4 - 2)² = 10; errors 0 + 1 + 1 + 0 = 2."""
    teacher = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])
    student = torch.tensor([[[[1.0, 2.0]], [[1.0, 4.0]]]])
    assert feature_distance(student, teacher).item() == pytest.approx(0.2)
    assert feature_distance(1000 * student, 1000 * teacher).item() == pytest.approx(0.2)


def test_features_equal_one_minus_the_coefficient_of_determination() -> None:
    from sklearn.metrics import r2_score

    teacher, student = random(2, 5, 4, 6), random(2, 5, 4, 6, seed=1)
    rows = [maps.permute(0, 2, 3, 1).reshape(-1, 5).numpy() for maps in (teacher, student)]
    expected = 1 - r2_score(*rows, multioutput="variance_weighted")
    assert feature_distance(student, teacher).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("classes", "teacher", "temperature", "expected"),
    [
        # p = 3/4 against 1/2: 3/4 · ln 3/2 + 1/4 · ln 1/2
        ("binary", [math.log(3)], 1.0, 0.1308120359),
        # the same probabilities after division by 2, times 2²
        ("binary", [2 * math.log(3)], 2.0, 4 * 0.1308120359),
        # the mean of that one and of 0
        ("binary", [math.log(3), 0.0], 1.0, 0.1308120359 / 2),
        # (1/2, 1/4, 1/4) against thirds: 1/2 · ln 3/2 + 2 · 1/4 · ln 3/4
        ("multi", [math.log(2), 0.0, 0.0], 1.0, 0.0588915178),
    ],
)
def test_masks_by_hand(classes: Any, teacher: list[float], temperature: float, expected: float) -> None:
    logits = torch.tensor(teacher)[None, :, None, None].expand(2, -1, 3, 4)
    found = mask_divergence(torch.zeros_like(logits), logits, temperature, classes)
    assert found.item() == pytest.approx(expected, rel=1e-6)
    five = mask_divergence(torch.zeros_like(logits)[:, None], logits[:, None], temperature, classes)
    assert five.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_masks_equal_torchs_distributions(temperature: float) -> None:
    teacher, student = random(2, 4, 3, 5, 6), random(2, 4, 3, 5, 6, seed=1)
    t, s = teacher / temperature, student / temperature
    binary = kl_divergence(Bernoulli(logits=t), Bernoulli(logits=s)).mean() * temperature**2
    torch.testing.assert_close(mask_divergence(student, teacher, temperature, "binary"), binary)
    t, s = t.movedim(2, -1), s.movedim(2, -1)
    multi = kl_divergence(Categorical(logits=t), Categorical(logits=s)).mean() * temperature**2
    torch.testing.assert_close(mask_divergence(student, teacher, temperature, "multi"), multi)


@pytest.mark.parametrize("classes", ["binary", "multi"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_logits_stay_finite(classes: Any, dtype: torch.dtype) -> None:
    teacher = torch.tensor([100.0, -100.0, 0.0])[None, :, None, None].to(dtype)
    student = (-teacher).requires_grad_()
    loss = mask_divergence(student, teacher, 1.0, classes)
    loss.backward()
    assert loss.dtype == torch.float32 and student.grad is not None and student.grad.isfinite().all()
    # Certain of the opposite: 100 for each of two of three masks; softmax puts 200 between the first two.
    assert loss.item() == pytest.approx(200 / 3 if classes == "binary" else 200.0, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    tensors = [random(2, 8, 6, 6, seed=seed, scale=50).to(dtype) for seed in range(4)]
    loss = DistillationLoss()
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(*tensors)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(*(tensor.float() for tensor in tensors)))


@pytest.mark.parametrize("classes", ["binary", "multi"])
@pytest.mark.parametrize("grid", [(4, 3), (5, 6), (2, 2)])
def test_gradients_equal_numerical_ones(classes: Any, grid: tuple[int, int]) -> None:
    """On the teacher's grid, a finer one and a coarser one."""
    valid = valid_area([(40, 20), (30, 30)], (40, 30))
    teacher_features, teacher_logits = random(2, 3, 4, 3), random(2, 1, 2, 4, 3, seed=1)
    loss = DistillationLoss(alpha=0.3, temperature=2.0, classes=classes)

    def compute(features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return loss(features, teacher_features, logits, teacher_logits, valid)

    features = random(2, 3, *grid, seed=2).requires_grad_()
    logits = random(2, 1, 2, *grid, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(compute, (features, logits))


def test_the_teacher_gets_no_gradient() -> None:
    tensors = [random(1, 3, 4, 4, seed=seed).requires_grad_() for seed in range(4)]
    DistillationLoss()(*tensors).backward()
    assert [tensor.grad is not None for tensor in tensors] == [True, False, True, False]


def test_the_sum_is_weighted_by_alpha() -> None:
    features = random(1, 3, 4, 4), random(1, 3, 4, 4, seed=1)
    logits = random(1, 2, 8, 8), random(1, 2, 8, 8, seed=1)
    expected = 0.25 * feature_distance(*features) + 0.75 * mask_divergence(*logits, 3.0)
    torch.testing.assert_close(DistillationLoss(0.25, 3.0)(*features, *logits), expected)
    torch.testing.assert_close(DistillationLoss(1.0)(*features), feature_distance(*features))
    only_masks = DistillationLoss(0.0, 1.0)(student_logits=logits[0], teacher_logits=logits[1])
    torch.testing.assert_close(only_masks, mask_divergence(*logits))


@pytest.mark.parametrize("classes", ["binary", "multi"])
def test_equal_inputs_give_zero(classes: Any) -> None:
    features, logits = random(2, 3, 4, 4), random(2, 2, 3, 4, 4)
    valid = valid_area([(3, 4), (4, 2)], (4, 4))
    assert DistillationLoss(0.5, 2.0, classes)(features, features, logits, logits, valid).item() == 0


def test_constant_features_have_a_finite_distance() -> None:
    constant = torch.full((1, 2, 3, 3), 5.0)
    assert feature_distance(constant, constant).item() == 0
    assert feature_distance(constant + 1, constant).isfinite()


@pytest.mark.parametrize("grid", [(8, 8), (16, 16), (4, 4)])
def test_padding_has_no_influence(grid: tuple[int, int]) -> None:
    """Values below row 32 of 64 and right of column 48 change loss and gradient by nothing, NaN included."""
    valid = valid_area([(32, 48)], (64, 64))
    shapes = [(1, 3, *grid), (1, 3, 8, 8), (1, 2, *grid), (1, 2, 8, 8)]
    tensors = [random(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    changed = []
    for tensor in tensors:
        other = tensor.clone()
        other[..., tensor.shape[-2] // 2 :, :] = math.nan
        other[..., tensor.shape[-1] * 3 // 4 :] = 1e6
        changed.append(other)
    results = []
    for given in (tensors, changed):
        leaves = [given[0].requires_grad_(), given[1], given[2].requires_grad_(), given[3]]
        loss = DistillationLoss()(*leaves, valid)
        results.append([loss, *torch.autograd.grad(loss, [leaves[0], leaves[2]])])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
    # And it is the loss of the image alone.
    if grid == (8, 8):
        cropped = [tensor[..., :4, :6] for tensor in tensors]
        torch.testing.assert_close(results[0][0], DistillationLoss()(*cropped))
        assert not torch.isclose(results[0][0], DistillationLoss()(*tensors))


def test_a_student_of_another_stride_learns_the_same_picture() -> None:
    """A linear ramp is the same on any grid away from the borders, so its distance is small and not zero."""

    def ramp(side: int) -> torch.Tensor:
        return ((torch.arange(side) + 0.5) / side).expand(1, 1, side, side)

    assert feature_distance(ramp(64), ramp(32)).item() < 1e-3
    assert feature_distance(ramp(16), ramp(32)).item() < 1e-2
    assert feature_distance(1 - ramp(64), ramp(32)).item() == pytest.approx(4, rel=0.05)


def test_a_dense_vision_transformer_is_a_student_too() -> None:
    """SAM's own architecture with random weights, and a projection to the teacher's channels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = SamVisionConfig(
            hidden_size=16,
            output_channels=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=64,
            mlp_dim=16,
            window_size=2,
            global_attn_indexes=[1],
        )
        student, project = SamEncoder(config, "sam_vit_b", 64).train(), FeatureProjection(8, 12)
    teacher = random(1, 12, 4, 4).float()
    image = random(1, 3, 64, 64, seed=1).float()
    optimiser = torch.optim.Adam([*student.parameters(), *project.parameters()], lr=1e-2)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = DistillationLoss(alpha=1.0)(project(student(image)[-1]), teacher)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


FEATURES, LOGITS = torch.rand(2, 3, 4, 4), torch.rand(2, 1, 3, 4, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 1.1}, "alpha: expected 0 to 1, found 1.1"),
        ({"alpha": math.nan}, "alpha: expected 0 to 1, found nan"),
        ({"temperature": 0.0}, "temperature: expected a finite number above 0, found 0.0"),
        ({"temperature": math.inf}, "temperature: .* found inf"),
        ({"classes": "both"}, r"classes: expected one of \['binary', 'multi'\], found 'both'"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistillationLoss(**settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((FEATURES, FEATURES), "expected student_logits and teacher_logits for this alpha, found none"),
        ((None, FEATURES, LOGITS, LOGITS), "expected student_features for this alpha"),
        ((FEATURES[:, :2], FEATURES, LOGITS, LOGITS), "expected 3 channels .* found 2; FeatureProjection"),
        ((FEATURES[:1], FEATURES, LOGITS, LOGITS), "features: expected the teacher's batch"),
        (
            (FEATURES[0], FEATURES, LOGITS, LOGITS),
            r"student_features: expected .* of 4 dimensions, .* \(3, 4, 4\)",
        ),
        ((FEATURES.int(), FEATURES, LOGITS, LOGITS), r"student_features: .* found torch.int32"),
        ((FEATURES, FEATURES, LOGITS[:, :, :2], LOGITS), r"prompts and masks \(1, 3\), found \(1, 2\)"),
        ((FEATURES, FEATURES, LOGITS[:, 0], LOGITS), "logits: expected the teacher's batch"),
        (
            (FEATURES, FEATURES, LOGITS, LOGITS, torch.ones(2, 4, 4)),
            r"valid: expected the shape \(2, 1, H, W\)",
        ),
        (
            (FEATURES, FEATURES, LOGITS, LOGITS, torch.zeros(2, 1, 4, 4)),
            "valid: expected a valid cell, found none",
        ),
        (
            (FEATURES, FEATURES, LOGITS, LOGITS, 2 * torch.ones(2, 1, 4, 4)),
            "valid: expected values from 0 to 1",
        ),
    ],
)
def test_wrong_tensors(given: tuple[torch.Tensor | None, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistillationLoss()(*given)
