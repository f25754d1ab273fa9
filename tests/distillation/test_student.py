"""A student on disk, and the teachers that it belongs to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from monai_lora_sam.adapters import read_card
from monai_lora_sam.distillation import Distillation, new_distillation, save_student
from monai_lora_sam.encoders import build_encoder, save_encoder
from monai_lora_sam.encoders.timm_pyramid import TimmPyramidConfig, TimmPyramidEncoder
from monai_lora_sam.networks import PromptableSegmenter, build_promptable
from monai_lora_sam.stages import load_stage, new_stage, save_stage

Make = Callable[..., Distillation]
BOX = {"boxes": torch.tensor([[[3.0, 4, 30, 40]]])}


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(1, 3, 50, 40, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a promptable teacher with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = build_promptable("medsam_lite", False, 32, mixed_precision=False)
    return network.save_pretrained(tmp_path_factory.mktemp("teachers") / "teacher")


@pytest.mark.parametrize("random_teacher", [True, False])
def test_a_saved_student_gives_the_same_masks(
    random_teacher: bool, make_pair: Make, teacher: Path, image: torch.Tensor, tmp_path: Path
):
    pair = make_pair(teacher_weights=False if random_teacher else str(teacher)).eval()
    folder = save_student(pair, tmp_path / "student", metrics={"val_dice": 0.5})
    loaded = PromptableSegmenter.from_pretrained(folder, mixed_precision=False)
    with torch.no_grad():
        assert torch.equal(loaded(image, **BOX).logits, pair.student(image, **BOX).logits)
    names = load_file(folder / "model.safetensors").keys()
    assert any("mask_decoder" in name for name in names) == random_teacher
    card = read_card(folder)
    assert card["metrics"] == {"val_dice": 0.5} and card["teacher"]["name"] == "medsam_lite"
    assert card["teacher"]["fingerprint"] == pair.stack.encoder.fingerprint
    assert card["decoder"]["weights"] == ("here" if random_teacher else str(teacher))
    encoder = build_encoder("mini", folder)
    assert (encoder.image_size, encoder.own_range) == (64, True)
    assert encoder.fingerprint == card["encoder"]["fingerprint"] == loaded.stack.encoder.fingerprint
    assert loaded.head.prompts == ("boxes",)


def test_half_the_bytes(make_pair: Make, teacher: Path, image: torch.Tensor, tmp_path: Path):
    pair = make_pair(teacher_weights=str(teacher)).eval()
    folder = save_student(pair, tmp_path / "student", half=True)
    assert (folder / "model.safetensors").stat().st_size < 10e6
    loaded = PromptableSegmenter.from_pretrained(folder, mixed_precision=False)
    assert loaded.stack.encoder.fingerprint == read_card(folder)["encoder"]["fingerprint"]
    with torch.no_grad():
        expected = pair.student(image, **BOX).logits
        torch.testing.assert_close(loaded(image, **BOX).logits, expected, rtol=0.05, atol=0.05)
    tensors = load_file(folder / "model.safetensors")
    assert tensors["neck.output_norm.weight"].dtype == torch.float32  # vectors keep their precision
    with torch.no_grad():
        pair.student.stack.encoder.model.neck.laterals[0].weight[0, 0] = 1e5
    with pytest.raises(ValueError, match="expected weights within float16's range, found 100000"):
        save_student(pair, tmp_path / "beyond", half=True)


def test_it_goes_on_from_a_student_of_this_teacher_alone(make_pair: Make, teacher: Path, tmp_path: Path):
    pair = make_pair(teacher_weights=str(teacher))
    folder = save_student(pair, tmp_path / "student")
    again = make_pair(seed=5, teacher_weights=str(teacher), start_from=folder, image_size=None)
    first, second = (one.student.stack.encoder.state_dict() for one in (pair, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(
        ValueError, match=r"expected a student with the teacher's mask decoder .*'medsam_lite'"
    ):
        make_pair(start_from=folder)
    with pytest.raises(ValueError, match="expected a student on 'mini_vit', found 'mini'"):
        make_pair(teacher_weights=str(teacher), start_from=folder, student_name="mini_vit")


def test_adapters_stand_on_a_student(make_pair: Make, teacher: Path, image: torch.Tensor, tmp_path: Path):
    folder = save_student(make_pair(teacher_weights=str(teacher)), tmp_path / "student")
    stage = new_stage(
        build_encoder("mini", folder),
        head="prompts",
        pretrained=folder,
        name="ct",
        lora={"targets": "conv", "r": 2},
        decoder="lora",
        mixed_precision=False,
    ).eval()
    save_stage(stage, tmp_path / "ct", task="prompts", class_names=[])
    loaded = load_stage(tmp_path / "ct", pretrained=folder, mixed_precision=False)
    with torch.no_grad():
        assert torch.equal(loaded(image, **BOX).logits, stage(image, **BOX).logits)


def test_another_or_a_missing_decoder_is_refused(make_pair: Make, teacher: Path, tmp_path: Path):
    place = shutil.copytree(teacher, tmp_path / "teacher")
    folder = save_student(make_pair(teacher_weights=str(place)), tmp_path / "student")
    with torch.random.fork_rng():
        torch.manual_seed(9)
        build_promptable("medsam_lite", False, 32).save_pretrained(place)
    with pytest.raises(ValueError, match=r"expected the prompt weights .*or the encoder distilled with"):
        PromptableSegmenter.from_pretrained(folder)
    shutil.rmtree(place)
    with pytest.raises(FileNotFoundError, match=r"card.json: the mask decoder of 'medsam_lite': .*no such"):
        PromptableSegmenter.from_pretrained(folder)


def test_damaged_folders_are_named(make_pair: Make, tmp_path: Path):
    folder = save_student(make_pair(), tmp_path / "student")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors.*expected"):
        PromptableSegmenter.from_pretrained(folder)
    with pytest.raises(FileNotFoundError, match="nothing"):
        PromptableSegmenter.from_pretrained(tmp_path / "nothing")
    card = json.loads((folder / "card.json").read_text())
    card["decoder"]["fingerprint"] = "0"
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="the card was changed after it was written"):
        PromptableSegmenter.from_pretrained(folder)


def test_networks_that_cannot_be_distilled_are_refused(tmp_path: Path):
    narrow = TimmPyramidEncoder(TimmPyramidConfig(output_channels=64), "mini", 64)
    save_encoder(narrow, tmp_path / "narrow")
    with pytest.raises(ValueError, match=r"expected 256 channels in the encoder's last level, found 64"):
        new_distillation(teacher_weights=False, student_weights=tmp_path / "narrow")
    with pytest.raises(ValueError, match="expected 256 channels"):
        new_distillation("tiny", False)
    save_encoder(build_encoder("mini"), tmp_path / "bare")
    with pytest.raises(ValueError, match="expected a prompt encoder and a mask decoder, found none"):
        new_distillation("mini", tmp_path / "bare")


def test_a_fresh_student_has_the_scale_of_its_teacher(make_pair: Make, teacher: Path, tmp_path: Path):
    network = PromptableSegmenter.from_pretrained(teacher)
    norm = list(network.stack.encoder.model.modules())[-1]
    with torch.no_grad():
        norm.weight.fill_(0.1)
        norm.bias.fill_(0.3)
    scaled = network.save_pretrained(tmp_path / "scaled")
    neck = make_pair(teacher_weights=str(scaled)).student.stack.encoder.model.neck
    assert (neck.output_norm.weight == 0.1).all() and (neck.output_norm.bias == 0.3).all()


def test_frozen_blocks_keep_their_weights_and_the_others_have_two_rates(make_pair: Make):
    pair = make_pair(frozen_blocks=3)
    encoder = pair.student.stack.encoder
    trained = {name for name, p in encoder.model.named_parameters() if p.requires_grad}
    assert not any(name.startswith(("stem.", "layers.0.", "layers.2.")) for name in trained)
    neck, backbone = pair.parameter_groups(0.01, 0.001)
    assert (neck["lr"], backbone["lr"]) == (0.01, 0.001)
    assert {id(p) for p in neck["params"]} == {id(p) for p in encoder.model.neck.parameters()}
    rest = {id(p) for block in encoder.blocks[3:] for p in block.parameters()}
    assert {id(p) for p in backbone["params"]} == rest
    everything = make_pair().parameter_groups(0.01, 0.001)
    assert sum(len(group["params"]) for group in everything) == len(list(encoder.model.parameters()))
    (alone,) = make_pair(frozen_blocks=len(encoder.blocks)).parameter_groups(0.01, 0.001)
    assert alone["lr"] == 0.01
    with pytest.raises(ValueError, match=r"frozen_blocks: expected 0 to 16 of mini, found 17"):
        make_pair(frozen_blocks=17)


def test_a_teacher_in_4_bits(make_pair: Make, teacher: Path, image: torch.Tensor, tmp_path: Path):
    pytest.importorskip("bitsandbytes")
    exact, rounded = (
        make_pair(teacher_weights=str(teacher), teacher_quantise=kind).eval() for kind in (None, "nf4")
    )
    assert rounded.stack.encoder.quantisation == "nf4"
    assert rounded.student.stack.encoder.quantisation is None
    with torch.no_grad():
        masks = [pair.student(image, **BOX).logits for pair in (exact, rounded)]
        assert torch.equal(*masks)  # the student and the decoder that it shares are in full precision
        square = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
        assert not torch.equal(exact.read(square), rounded.read(square))
    card = read_card(save_student(rounded, tmp_path / "student"))
    assert card["teacher"]["quantisation"] == "nf4" and "quantisation" not in card["encoder"]
    assert card["teacher"]["fingerprint"] == exact.stack.encoder.fingerprint
