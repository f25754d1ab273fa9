"""The view angles' code: distinct, periodic, neutral where unknown."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from monai_lora_sam.coronary.networks.view_angle_encoder import FiLM, ViewAngleEncoder

NAN = float("nan")


@pytest.fixture
def encoder() -> ViewAngleEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ViewAngleEncoder(16)


def train(encoder: ViewAngleEncoder, steps: int = 80) -> float:
    """Teach it a target that asks for coarse steps of the angles only; return the last loss."""
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        head = nn.Linear(16, 2)
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=0.003)
    for _ in range(steps):
        view = (torch.rand(64, 2, generator=generator) - 0.5) * torch.tensor([240.0, 80.0])
        loss = nn.functional.binary_cross_entropy_with_logits(head(encoder(view)), (view > 0).float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


@pytest.mark.parametrize("axis", [0, 1])
def test_views_10_degrees_apart_stay_distinct_after_training(encoder: ViewAngleEncoder, axis: int):
    assert train(encoder) < 0.4  # from 0.69: it has learned
    limit = 40 if axis else 120  # what it has seen
    view = torch.zeros(2 * limit // 10 + 1, 2)
    view[:, axis] = torch.arange(-limit, limit + 1, 10)
    with torch.no_grad():
        distance = torch.pdist(encoder(view))
    # Against the spread of all views. Small random frequencies and a LayerNorm give 0.005 (primary angle).
    assert distance.min() > 0.02 * distance.median()


def test_code_is_that_of_the_definition(encoder: ViewAngleEncoder):
    primary, secondary = 33.0, -21.0
    expected = []
    for angle in (primary, secondary):
        phases = [math.radians(angle) * cycles for cycles in (1, 2, 4, 8, 16)]
        expected += [math.sin(phase) for phase in phases] + [math.cos(phase) for phase in phases]
    found = encoder.code(torch.tensor([[primary, secondary]]))[0]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-5, rtol=0)


def test_a_half_turn_either_way_is_one_view(encoder: ViewAngleEncoder):
    plus, minus = torch.tensor([[180.0, 12.0]]), torch.tensor([[-180.0, 12.0]])
    assert torch.equal(encoder(plus), encoder(minus))
    beyond, inside = torch.tensor([[179.0, 12.0]]), torch.tensor([[-181.0, 12.0]])
    torch.testing.assert_close(encoder(beyond), encoder(inside), atol=1e-4, rtol=0)


def test_unknown_views_get_the_neutral_code_and_leave_the_known_alone(encoder: ViewAngleEncoder):
    nn.init.normal_(encoder.neutral)
    view = torch.tensor([[30.0, -20.0], [NAN, NAN], [30.0, NAN], [-45.0, 10.0]])
    code = encoder.code(view)
    assert torch.equal(code[1], encoder.neutral) and torch.equal(code[2], encoder.neutral)
    assert torch.equal(code[[0, 3]], encoder.code(view[[0, 3]]))


def test_unknown_views_train_the_neutral_code_and_give_no_nan(encoder: ViewAngleEncoder):
    encoder(torch.tensor([[30.0, -20.0], [NAN, NAN]])).sum().backward()
    assert encoder.neutral.grad is not None and encoder.neutral.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize("shape", [(2,), (1, 3), (1, 2, 1)])
def test_wrong_shape(encoder: ViewAngleEncoder, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"expected \(B, 2\) degrees, found shape"):
        encoder(torch.zeros(shape))


def test_film_scales_and_shifts_each_channel():
    film = FiLM(4, 3)
    features, condition = torch.randn(2, 3, 5, 5), torch.randn(2, 4)
    torch.testing.assert_close(film(features, condition), features, atol=0.1, rtol=0.05)  # starts as identity
    with torch.no_grad():
        film.project.weight.zero_()
        film.project.bias.copy_(torch.tensor([1.0, 0.0, -1.0, 0.5, 0.0, 2.0]))
    found = film(features, condition)
    torch.testing.assert_close(found[:, 0], 2 * features[:, 0] + 0.5)
    torch.testing.assert_close(found[:, 1], features[:, 1])
    torch.testing.assert_close(found[:, 2], torch.full((2, 5, 5), 2.0))
