"""Autocast where the device computes in bfloat16."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from monai_lora_sam.networks import autocast, mixed_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("computes", "wanted", "dtype"),
    [
        (True, True, torch.bfloat16),
        (True, False, torch.float32),
        (False, True, torch.float32),
        (False, False, torch.float32),
    ],
)
def test_a_cpu_without_bfloat16_stays_in_float32(
    monkeypatch: pytest.MonkeyPatch, computes: bool, wanted: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(mixed_precision, "cpu_computes_bfloat16", lambda: computes)
    with autocast(CPU, wanted):
        assert (torch.ones(1, 2) @ torch.ones(2, 1)).dtype is dtype


def test_the_answer_agrees_with_the_processors_own_flags() -> None:
    flags = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not flags.is_file():
        pytest.skip("this processor's instructions are not listed in /proc/cpuinfo")
    has = set(flags.read_text().split())
    if "avx512_bf16" in has or "amx_bf16" in has:
        assert mixed_precision.cpu_computes_bfloat16()
    if "avx512f" not in has and "avx_ne_convert" not in has:
        assert not mixed_precision.cpu_computes_bfloat16()
