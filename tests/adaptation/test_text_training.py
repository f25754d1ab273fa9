"""Answers to the phrases of a batch equal those of the network alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_lora_sam.adaptation import TextTraining
from monai_lora_sam.prompting import load_promptable
from monai_lora_sam.transforms import NormalizeForEncoderd

WORDS = ["kidney", "left artery", "liver"]


@pytest.fixture
def network(text_stage: Path, promptable: Path) -> Any:
    network = load_promptable(weights=promptable, adapter=text_stage, device="cpu")
    network.mixed_precision = False
    return network


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 64, 64, generator=generator)
    image[1, :, :, 40:] = 0  # padding
    truth = torch.zeros(2, 2, 64, 64, dtype=torch.uint8)
    truth[:, 0, 5:20, 5:20] = 1
    return {
        "image": image,
        "size": torch.tensor([[64, 64], [64, 40]]),
        "phrase": torch.tensor([[2, 0], [0, 1]]),
        "present": torch.tensor([[1.0, 0], [1, 0]]),
        "truth": truth,
    }


def test_each_answer_is_that_of_the_network(network: Any):
    given = batch()
    training = TextTraining(network, WORDS).eval()
    with torch.no_grad():
        found = training(**given)
        stored = training(**{**given, "image": None}, features=training.read(given["image"], given["size"]))
    assert torch.equal(stored.logits, found.logits)
    normalize = NormalizeForEncoderd("image", network.stack.encoder)
    for index, phrases in enumerate((["liver", "kidney"], ["kidney", "left artery"])):
        columns = int(given["size"][index, 1])
        image = normalize({"image": given["image"][index, :, :, :columns]})["image"][None]
        with torch.no_grad():
            alone = network(image, phrases=phrases)
        rows = slice(2 * index, 2 * index + 2)
        torch.testing.assert_close(found.presence[rows], alone.presence[0], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(
            found.logits[rows, 0, :, :columns], alone.logits[0, :, 0], atol=1e-3, rtol=1e-3
        )
        assert found.valid[rows].sum() == 2 * 64 * columns
    assert found.weight is None and found.present.tolist() == [1, 0, 1, 0]


def test_new_layers_have_their_own_rate(network: Any):
    network.requires_grad_(True)
    training = TextTraining(network, WORDS, weights=[1.0, 2, 3])
    slow, fast = training.parameter_groups(0.1, 0.2)
    new = sum(
        p.numel() for part in (network.head.projection, network.head.presence) for p in part.parameters()
    )
    assert (slow["lr"], fast["lr"]) == (0.1, 0.2) and sum(p.numel() for p in fast["params"]) == new
    assert training.eval()(**batch()).weight.tolist() == [3, 1, 1, 2]
    with pytest.raises(ValueError, match="weights: expected 3, one for each phrase, found 1"):
        TextTraining(network, WORDS, weights=[1.0])
    with pytest.raises(ValueError, match="expected Latin letters"):
        TextTraining(network, ["печень"])
