"""Teacher and student on the same images and prompts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from monai_lora_sam.distillation import Distillation
from monai_lora_sam.distillation.distillation import with_next_points
from monai_lora_sam.losses import DistillationLoss
from monai_lora_sam.networks import ImageEmbedding
from monai_lora_sam.transforms import NormalizeForEncoderd

Make = Callable[..., Distillation]
Batch = dict[str, torch.Tensor]


def teachers_state(pair: Distillation) -> dict[str, torch.Tensor]:
    parts = {"encoder": pair.stack.encoder.state_dict(), "head": pair.head.base_tensors()}
    parts["student's head"] = pair.student.head.base_tensors()
    return {f"{part}.{name}": t.clone() for part, tensors in parts.items() for name, t in tensors.items()}


def test_each_network_sees_an_image_as_it_would_see_it_alone(make_pair: Make, batch: Batch):
    pair = make_pair().eval()
    with torch.no_grad():
        found = pair(**batch)
        for network, features in ((pair.student, found.student_features), (pair, found.teacher_features)):
            for index, (rows, columns) in enumerate(batch["size"].tolist()):
                image = batch["image"][index, :, :rows, :columns]
                alone = NormalizeForEncoderd("image", network.stack.encoder)({"image": image})["image"]
                # The network's own way, for an image of any size.
                expected = network.embed(network.prepare(alone[None]))
                torch.testing.assert_close(features[[index]], expected, rtol=2e-3, atol=2e-3)
    assert found.valid.sum().item() == 64 * 64 + 64 * 40


def test_masks_are_those_of_the_networks_own_decoder(make_pair: Make, batch: Batch):
    pair = make_pair().eval()
    with torch.no_grad():
        found = pair(**batch)
        for network, features, logits in (
            (pair.student, found.student_features, found.student_logits),
            (super(Distillation, pair), found.teacher_features, found.teacher_logits),
        ):
            expected = network.decode(ImageEmbedding(features, (64, 64)), boxes=batch["boxes"]).logits
            whole = torch.nn.functional.interpolate(
                logits.flatten(1, 2), (64, 64), mode="bilinear", antialias=True
            )
            torch.testing.assert_close(whole, expected.flatten(1, 2), rtol=1e-3, atol=1e-3)


def test_a_stored_embedding_gives_what_a_live_one_gives(make_pair: Make, batch: Batch):
    pair = make_pair(rounds=2).train()
    stored = pair.read(batch["image"], batch["size"]).to(torch.float16).float()
    live, cached = pair(**batch), pair(**batch, features=stored)
    assert all(torch.equal(one, other) for one, other in zip(live, cached, strict=True))
    assert torch.equal(live.teacher_features, stored)


def test_the_student_alone_learns(make_pair: Make, batch: Batch):
    pair, loss = make_pair(rounds=1).train(), DistillationLoss()
    before = teachers_state(pair)
    trained = [parameter for parameter in pair.parameters() if parameter.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in pair.student.stack.encoder.parameters()}
    assert all(name.startswith("student.stack.") for name in pair.trainable.state_dict())
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        value = loss(*pair(**batch))
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.7 * losses[0]
    assert not pair.stack.training and not pair.head.training and pair.student.stack.training
    after = teachers_state(pair)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_gradient_of_the_masks_reaches_the_student_through_the_decoder(make_pair: Make, batch: Batch):
    pair = make_pair(rounds=1).train()
    DistillationLoss(alpha=0.0)(*pair(**batch)).backward()
    neck = pair.student.stack.encoder.model.neck.refine[0].pointwise.weight
    assert neck.grad is not None and neck.grad.abs().max() > 0


def test_embeddings_alone_need_no_prompt(make_pair: Make, batch: Batch):
    pair = make_pair().train()
    found = pair(batch["image"], batch["size"])
    assert found.student_logits is None and found.teacher_logits is None
    assert found.student_features.shape == (2, 256, 8, 8) and found.teacher_features.shape == (2, 256, 8, 8)


def test_rounds_follow_each_other(make_pair: Make, batch: Batch):
    found = make_pair(rounds=3).train()(**batch)
    assert found.student_logits.shape[1] == found.teacher_logits.shape[1] == 2 * 3
    first = make_pair(rounds=1).train()(**batch)
    assert torch.equal(found.teacher_logits[:, :2], first.teacher_logits)
    assert not torch.equal(found.teacher_logits[:, 2:4], first.teacher_logits)


def test_new_points_lie_where_the_masks_differ():
    boxes = torch.zeros(1, 3, 4)
    teacher, student = torch.full((2, 1, 3, 1, 16, 16), -1.0)
    teacher[0, 0, 0, 2:7, 2:7] = 1  # missed: its centre is the cell (4, 4)
    student[0, 1, 0, 8:11, 4:9] = 1  # false: row 9, columns 5 to 7 are deepest
    teacher[0, 2, 0, :, 12:] = student[0, 2, 0, :12, 12:] = 1  # they differ in padding alone
    valid = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    valid[..., 48:, :] = False
    found = with_next_points({"boxes": boxes}, student, teacher, valid)
    assert found["boxes"] is boxes
    assert found["point_labels"][0, :, 0].tolist() == [1, 0, -1]
    # Four pixels a cell: the centre of the cell 4 is 17.5.
    assert found["points"][0, 0, 0].tolist() == [17.5, 17.5]
    x, y = found["points"][0, 1, 0].tolist()
    assert y == 37.5 and 21 <= x <= 30
    twice = with_next_points(found, student, teacher, valid)
    assert twice["points"].shape == (1, 3, 2, 2)
    assert torch.equal(twice["points"][:, :, :1], found["points"])


def test_bad_input_is_named(make_pair: Make, batch: Batch):
    pair = make_pair().eval()
    image, size, boxes = batch["image"], batch["size"], batch["boxes"]
    for message, arguments in {
        r"features: expected the teacher's embedding \(2, 256, 8, 8\), found \(2, 256, 4, 4\)": {
            "features": torch.zeros(2, 256, 4, 4)
        },
        r"size: expected the shape \(2, 2\)": {"size": size[:1]},
        r"size: expected 1 to 64 pixels, found \(65, 3\)": {"size": torch.tensor([[64, 64], [65, 3]])},
        "image: expected finite intensities": {"image": image * torch.nan},
        r"image: expected a square, found 64x32": {"image": image[..., :32]},
        "expected prompts of the kinds boxes, found none": {"boxes": None},
    }.items():
        with pytest.raises(ValueError, match=message):
            pair(**{"image": image, "size": size, "boxes": boxes, **arguments})
    with pytest.raises(ValueError, match="rounds: expected 0 or more, found -1"):
        make_pair(rounds=-1)
