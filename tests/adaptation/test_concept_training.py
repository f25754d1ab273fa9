"""SAM 3's answers to the phrases of a batch equal those of the network alone; instances of a mask; weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_lora_sam.adaptation import ConceptTraining, phrase_masks, phrase_presence
from monai_lora_sam.adaptation.concept_training import connected_parts
from monai_lora_sam.losses import ConceptLoss
from monai_lora_sam.networks import TextSegmenter, build_text_segmenter
from monai_lora_sam.transforms import NormalizeForEncoderd

WORDS = ["left kidney", "liver", "spleen"]


@pytest.fixture(scope="module")
def network(text_sam3: Path) -> TextSegmenter:
    return build_text_segmenter(text_sam3, mixed_precision=False)


def batch() -> dict[str, torch.Tensor]:
    image = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    image[1, :, :, 70:] = 0  # padding
    truth = torch.zeros(2, 3, 112, 112, dtype=torch.uint8)
    truth[:, 0, 5:20, 5:20] = 1
    truth[:, 0, 50:60, 50:60] = 1
    return {
        "image": image,
        "size": torch.tensor([[112, 112], [112, 70]]),
        "phrase": torch.tensor([[2, 0, 1], [0, 1, 2]]),
        "present": torch.tensor([[1.0, 0, 0], [1, 0, 0]]),
        "truth": truth,
    }


def test_each_answer_is_that_of_the_network(network: TextSegmenter):
    given = batch()
    training = ConceptTraining(network, WORDS, weights=[1.0, 2, 3]).eval()
    with torch.no_grad():
        found = training(**given)
        stored = training(**{**given, "image": None}, features=training.read(given["image"], given["size"]))
    assert torch.equal(stored.output.pred_logits, found.output.pred_logits)
    normalize = NormalizeForEncoderd("image", network.stack.encoder)
    for index, phrases in enumerate((["spleen", "left kidney", "liver"], WORDS)):
        columns = int(given["size"][index, 1])
        image = normalize({"image": given["image"][index, :, :, :columns]})["image"][None]
        alone = network.segment(image, phrases, threshold=0.0)
        for row, one in enumerate(alone):
            place = 3 * index + row
            presence = float(found.presence[place].sigmoid())
            assert presence == pytest.approx(one.presence, abs=1e-4)
            mask = (found.logits[place, 0, :, :columns] > 0) & (presence >= 0.5)
            assert (mask != one.semantic).float().mean() < 0.01
            assert not found.logits[place, 0, :, columns:].any()
    assert [len(parts) for parts in found.instances] == [2, 0, 0, 2, 0, 0]
    assert found.instances[3].shape == (2, 112, 70) and found.weight.tolist() == [3, 1, 2, 1, 2, 3]
    masks, truth = phrase_masks({"pred": found})
    assert masks.shape == truth.shape == (1, 6, 112, 112)
    assert phrase_presence({"pred": found})[1].tolist() == [1, 0, 0, 1, 0, 0]


def test_parts_that_touch_at_a_corner_are_one(network: TextSegmenter):
    mask = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]])
    assert connected_parts(mask).sum((1, 2)).tolist() == [2, 2] and connected_parts(0 * mask).shape == (
        0,
        3,
        4,
    )


def test_an_image_without_objects_trains_presence_alone(network: TextSegmenter):
    given = batch()
    given["truth"], given["present"] = 0 * given["truth"], 0 * given["present"]
    training = ConceptTraining(network, WORDS).train()
    with torch.no_grad():
        answers = training(**given)
        terms = ConceptLoss()(answers.output, answers.instances, answers.weight)
    assert terms["loss"] == terms["presence_loss"] > 0
    [group] = ConceptTraining(network.requires_grad_(True), WORDS).parameter_groups(0.1, 0.2)
    assert group["lr"] == 0.1 and len(group["params"]) == len(list(network.parameters()))
    with pytest.raises(ValueError, match="expected something to train: strategy, text_strategy or decoder"):
        ConceptTraining(network.requires_grad_(False), WORDS).parameter_groups(0.1, 0.2)


def test_weights_of_phrases_act_on_every_term(network: TextSegmenter):
    """A phrase of weight 2 counts as the same phrase given twice."""
    given = {name: value[:1] for name, value in batch().items()}
    twice = {**given, **{name: given[name][:, [0, 1, 2, 0]] for name in ("phrase", "present", "truth")}}
    criterion = ConceptLoss()
    training = ConceptTraining(network, WORDS, weights=[1.0, 1, 2]).eval()
    with torch.no_grad():
        one, other = training(**given), training(**twice)
        weighted = criterion(one.output, one.instances, one.weight)
        plain = criterion(other.output, other.instances)
    for name in ("loss_mask", "loss_bbox", "loss_ce", "loss_semantic_dice"):
        assert float(weighted[name]) == pytest.approx(float(plain[name]), rel=1e-4)
    # The mean over phrases: three weigh four together.
    assert float(weighted["presence_loss"]) * 3 == pytest.approx(float(plain["presence_loss"]) * 4, rel=1e-4)
