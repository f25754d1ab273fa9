"""The attention that trains fast on a CPU, against torch's fused one."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from monai_lora_sam.encoders import attention


@pytest.fixture
def fused_calls(monkeypatch):
    calls = []
    original = attention.sdpa_attention_forward

    def count(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(attention, "sdpa_attention_forward", count)
    return calls


def attend(dtype, tokens=20):
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(2, 3, tokens, 8, generator=generator) for _ in range(3)]
    inputs = [value.to(dtype).requires_grad_() for value in inputs]
    output, _ = attention.attention_forward(torch.nn.Module(), *inputs, scaling=0.3, is_causal=False)
    return inputs, output


def test_training_in_bfloat16_matches_the_exact_output_and_gradients(fused_calls):
    inputs, output = attend(torch.bfloat16)
    assert not fused_calls
    exact_inputs = [value.detach().float().requires_grad_() for value in inputs]
    exact = scaled_dot_product_attention(*exact_inputs, scale=0.3).transpose(1, 2)
    torch.testing.assert_close(output.float(), exact, rtol=0.02, atol=0.02)
    output.float().square().sum().backward()
    exact.square().sum().backward()
    for value, exact_value in zip(inputs, exact_inputs, strict=True):
        torch.testing.assert_close(value.grad.float(), exact_value.grad, rtol=0.05, atol=0.05)


def test_everything_else_is_the_fused_kernel_to_the_bit(fused_calls, monkeypatch):
    inputs, output = attend(torch.float32)
    assert torch.equal(output, scaled_dot_product_attention(*inputs, scale=0.3).transpose(1, 2))
    with torch.no_grad():
        inputs, output = attend(torch.bfloat16)
    assert torch.equal(output, scaled_dot_product_attention(*inputs, scale=0.3).transpose(1, 2))
    monkeypatch.setattr(attention, "LARGEST_SCORES_BYTES", 2 * 3 * 20 * 20 * 2 - 1)
    attend(torch.bfloat16)
    assert len(fused_calls) == 3
    monkeypatch.setattr(attention, "LARGEST_SCORES_BYTES", 2 * 3 * 20 * 20 * 2)
    attend(torch.bfloat16)
    assert len(fused_calls) == 3


def test_one_input_that_needs_a_gradient_is_enough(fused_calls):
    inputs, _ = attend(torch.bfloat16)
    frozen = [value.detach() for value in inputs[:2]]
    attention.attention_forward(torch.nn.Module(), *frozen, inputs[2], is_causal=False)
    assert not fused_calls
