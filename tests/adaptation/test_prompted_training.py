"""Training by prompts: each answer is the network's own in use, corrections, gradients, rates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_lora_sam.adaptation import PromptedTraining, answered_masks, iou_error
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import PromptableSegmenter
from monai_lora_sam.stages import new_stage
from monai_lora_sam.transforms import next_click


@pytest.fixture
def network(promptable: Path) -> PromptableSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stage = new_stage(
            build_encoder("mini", promptable, 64),
            head="prompts",
            name="discs",
            lora={"r": 2, "dropout": 0.0},
            decoder="lora",
            pretrained=promptable,
            mixed_precision=False,
        )
    assert isinstance(stage, PromptableSegmenter)
    return stage


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Return two padded images with three prompts each: a box, one point, three points."""
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, 64, 64, generator=generator)
    image[1, :, 48:] = 0
    truth = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    truth[:, :, 10:40, 12:50] = 1
    box, none = [12.0, 10.0, 49.0, 39.0], [0.0] * 4
    points = torch.tensor([[20.0, 20], [30, 30], [40, 15], [0, 0], [0, 0]])
    return {
        "image": image,
        "size": torch.tensor([[64, 64], [48, 64]]),
        "boxes": torch.tensor([[box, none, none]] * 2),
        "points": points.expand(2, 3, -1, -1),
        "point_labels": torch.tensor([[[-1] * 5, [1, -1, -1, -1, -1], [1, 1, 1, -1, -1]]] * 2),
        "truth": truth,
    }


def test_answers_are_those_of_the_network_in_use(network: PromptableSegmenter, batch: dict):
    training = PromptedTraining(network, rounds=2).eval()
    with torch.no_grad():
        answers = training(**batch)
        for index, (rows, columns) in enumerate(batch["size"].tolist()):
            encoder = network.stack.encoder
            mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (encoder.pixel_mean, encoder.pixel_std))
            image = (batch["image"][index : index + 1, :, :rows, :columns] - mean) / std
            for prompt in range(3):
                count = int((batch["point_labels"][index, prompt] >= 0).sum())
                given = (
                    {"points": batch["points"][index, prompt, None, None, :count]}
                    | {"point_labels": batch["point_labels"][index, prompt, None, None, :count]}
                    if count
                    else {"boxes": batch["boxes"][index, prompt, None, None]}
                )
                alone = network(image, **given)
                row = 3 * index + prompt
                torch.testing.assert_close(answers.iou[row], alone.iou[0, 0], atol=1e-5, rtol=1e-4)
                found = answers.logits[row, 0, :rows, :columns]
                # Bilinear resizing differs by a hair at the lower border of the padding.
                assert (found - alone.logits[0, 0, 0]).abs().median() < 1e-4
    assert len(answers.logits) == 6
    assert answers.valid[3:, 0, 48:].sum() == 0 and answers.valid[:3].min() == 1


def test_a_round_of_correction_clicks_where_it_is_most_wrong(network: PromptableSegmenter, batch: dict):
    seen = []
    decode = network.decode

    def spy(embedding, **prompts):
        seen.append(prompts)
        return decode(embedding, **prompts)

    network.decode = spy  # type: ignore[method-assign]
    training = PromptedTraining(network, rounds=1).train()
    answers = training(**batch)
    assert len(answers.logits) == 12  # all random answers are wrong
    first, second = seen[:3], seen[3:]
    assert not any("masks" in prompts for prompts in first) and all("masks" in p for p in second)
    boxed = next(prompts for prompts in second if "boxes" in prompts)
    found = ((answers.logits[0, 0] > 0) & (answers.valid[0, 0] > 0)).numpy()
    click = next_click(batch["truth"][0, 0].bool().numpy(), found)
    assert click is not None
    assert boxed["points"][0, 0, 0].tolist() == click[0].tolist()
    assert boxed["point_labels"][0, 0].tolist() == [click[1]]
    assert torch.equal(boxed["masks"][0, 0], answers.logits[0, 0].detach())
    assert not boxed["masks"].requires_grad and answers.logits[6:].requires_grad


def test_right_answers_are_not_corrected(network: PromptableSegmenter, batch: dict):
    training = PromptedTraining(network, rounds=1).train()
    with torch.no_grad():
        found = training.eval()(**batch)
        batch["truth"] = ((found.logits > 0) & (found.valid > 0)).view(2, 3, 64, 64).byte()
        assert len(training.train()(**batch).logits) == 6
    output = {"pred": found._replace(truth=batch["truth"].view(6, 1, 64, 64).float())}
    masks, truth = answered_masks(output)
    assert masks.shape == (1, 6, 64, 64) and torch.equal(masks, truth)
    kept = batch["truth"].view(6, -1).any(1)
    expected = (found.iou[:, 0] - kept.float()).abs().mean()
    assert iou_error(output) == pytest.approx(float(expected))


def test_adapters_train_and_the_base_keeps_its_bytes(network: PromptableSegmenter, batch: dict):
    training = PromptedTraining(network)
    groups = training.parameter_groups(0.01, 0.001)
    assert [group["lr"] for group in groups] == [0.01]
    trained = {id(p) for p in groups[0]["params"]}
    names = [name for name, p in network.named_parameters() if id(p) in trained]
    assert all("lora_" in name for name in names)
    assert any(name.startswith("head.mask_decoder") for name in names)
    assert any(name.startswith("stack") for name in names)
    before = {name: t.clone() for name, t in network.named_parameters() if "lora_" not in name}
    optimiser = torch.optim.AdamW(groups)
    answers = training.train()(**batch)
    (answers.logits.square().mean() + answers.iou.mean()).backward()
    optimiser.step()
    after = dict(network.named_parameters())
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_whole_decoder_trains_at_the_bases_rate(promptable: Path):
    stage = new_stage(
        build_encoder("mini", promptable, 64),
        head="prompts",
        name="discs",
        decoder="full",
        pretrained=promptable,
    )
    assert isinstance(stage, PromptableSegmenter)
    groups = PromptedTraining(stage).parameter_groups(0.01, 0.001)
    assert [group["lr"] for group in groups] == [0.01, 0.001]
    head = {id(p) for p in stage.head.parameters()}
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in stage.head.parameters() if p.requires_grad}
    assert not head & {id(p) for p in groups[0]["params"]}


def test_bad_input_is_refused(network: PromptableSegmenter, batch: dict):
    with pytest.raises(ValueError, match="rounds: expected 0 or more, found -1"):
        PromptedTraining(network, rounds=-1)
    with pytest.raises(ValueError, match="expected a box or a point in each prompt, found neither"):
        PromptedTraining(network)(**{**batch, "boxes": torch.zeros(2, 3, 4)})
    batch["image"][0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="image: expected finite intensities"):
        PromptedTraining(network)(**batch)
