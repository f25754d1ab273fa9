"""Pretraining of the tiny encoder, in miniature."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from monai.utils import set_determinism
from safetensors.torch import load_file

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.stages import load_stage

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "pretrain_tiny.py"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("pretrain_tiny", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    yield module
    torch.set_num_threads(threads)
    set_determinism(None)


def pretrain(script: ModuleType, folder: Path, seed: int = 0) -> Path:
    script.main(
        out=folder / "base",
        stage=folder / "stage",
        work=folder / "work",
        count=11,
        epochs=1,
        image_size=56,
        batch_size=5,
        seed=seed,
        processes=1,
    )
    return folder


def equal(one: Path, other: Path) -> bool:
    """Say whether two files hold the same tensors; the entries of their headers come in any order."""
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_equal_seeds_give_equal_weights_and_others_do_not(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = pretrain(script, tmp_path / "first")
    shutil.copytree(first / "work" / "phantoms", tmp_path / "second" / "work" / "phantoms")  # drawing is slow
    second = pretrain(script, tmp_path / "second")
    for file in ("base/model.safetensors", "stage/head.safetensors"):
        assert equal(first / file, second / file)
    assert (first / "base" / "model.safetensors").stat().st_size < 10e6

    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = build_encoder("tiny")
    encoder = build_encoder("tiny", pretrained=first / "base")
    assert encoder.fingerprint != untrained.fingerprint
    card = json.loads((first / "base" / "card.json").read_text())
    assert card["parameters"] == sum(p.numel() for p in encoder.parameters())
    assert set(card["scores_on_held_out_phantoms"]) == {"val_dice", "val_cldice"}

    stage = load_stage(first / "stage", encoder)
    with torch.no_grad():
        assert stage(torch.zeros(1, 3, 56, 56)).shape == (1, 1, 56, 56)

    shutil.copytree(first / "work" / "phantoms", tmp_path / "other" / "work" / "phantoms")
    # Another seed draws other phantoms; the same ones again would say nothing of the network's own seed.
    monkeypatch.setattr(script, "prepare_phantoms", lambda *_, **__: None)
    other = pretrain(script, tmp_path / "other", seed=1)
    assert not equal(other / "base" / "model.safetensors", first / "base" / "model.safetensors")
