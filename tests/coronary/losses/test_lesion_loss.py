"""The lesion loss against values worked out by hand, and its silence on what a target lacks."""

from __future__ import annotations

import math

import pytest
import torch

from monai_lora_sam.coronary.losses import LesionLoss

NAN = math.nan
STRIDE = 2.0


def rows(*lesions: list[list[float]]) -> torch.Tensor:
    target = torch.full((len(lesions), 4, 8), NAN)
    for image, own in enumerate(lesions):
        for index, row in enumerate(own):
            target[image, index] = torch.tensor(row)
    return target


KNOWN = [4.0, 6.0, 14.0, 12.0, 9.0, 9.0, 60.0, 3.0]
UNKNOWN = [4.0, 6.0, 14.0, 12.0, NAN, NAN, NAN, NAN]


def output(batch: int = 1, percent: float = 50.0, mld: float = 5.0) -> dict[str, torch.Tensor]:
    values = {
        "heatmap": torch.zeros(batch, 1, 8, 10),
        "offset": torch.zeros(batch, 2, 8, 10),
        "size": torch.zeros(batch, 2, 8, 10),
        "score": torch.full((batch, 4), NAN),
        "percent_diameter_stenosis": torch.full((batch, 4), percent),
        "mld_px": torch.full((batch, 4), mld),
    }
    return {name: value.requires_grad_(name != "score") for name, value in values.items()}


def test_the_heatmap_is_one_at_the_centres_cell_and_falls_off():
    heat, _ = LesionLoss(STRIDE).heatmap(rows([KNOWN]), (8, 10))
    assert heat.max() == 1 and heat[0, 4, 4] == 1 and (heat == 1).sum() == 1
    # The box is 5 × 3 cells: 0.09 of that is below the least spread of half a cell.
    assert heat[0, 4, 5].item() == pytest.approx(math.exp(-0.5 / 0.25))
    wide = rows([[0.0, 0.0, 200.0, 10.0, NAN, NAN, NAN, NAN]])
    heat, _ = LesionLoss(STRIDE).heatmap(wide, (8, 101))
    assert heat[0, 2, 59].item() == pytest.approx(math.exp(-0.5))  # 9 cells away, 0.09 of 100 cells


def test_focal_loss_by_hand():
    parts = LesionLoss(STRIDE).parts(output(), rows([KNOWN]))
    heat, _ = LesionLoss(STRIDE).heatmap(rows([KNOWN]), (8, 10))
    negatives = ((1 - heat[heat < 1]) ** 4).sum().item()
    assert parts["heatmap"].item() == pytest.approx(0.25 * math.log(2) * (1 + negatives), rel=1e-5)


def test_measures_by_hand():
    parts = LesionLoss(STRIDE, percent_weight=2.0, mld_weight=0.5).parts(output(), rows([KNOWN]))
    # Smooth L1: |0.5 − 0.6| meets its bend of 0.1, 2 px lie beyond the bend of 1.
    assert parts["percent"].item() == pytest.approx(2.0 * 0.05, rel=1e-4)
    assert parts["mld"].item() == pytest.approx(0.5 * 1.5)


def test_a_perfect_output_costs_next_to_nothing():
    target, loss = rows([KNOWN]), LesionLoss(STRIDE)
    values = {name: value.detach() for name, value in output(percent=60.0, mld=3.0).items()}
    heat, _ = loss.heatmap(target, (8, 10))
    values["heatmap"] = torch.where(heat == 1, 12.0, -12.0)[:, None]
    values["size"][:, 0], values["size"][:, 1] = math.log(5.0), math.log(3.0)
    cells = torch.stack(torch.meshgrid(torch.arange(10), torch.arange(8), indexing="xy")) + 0.5
    values["offset"] = torch.tensor([4.5, 4.5])[None, :, None, None] - cells
    assert loss(values, target).item() < 1e-3


def test_what_a_target_lacks_gives_no_loss_and_no_gradient():
    values = output()
    parts = LesionLoss(STRIDE).parts(values, rows([UNKNOWN]))
    assert parts["percent"] == 0 and parts["mld"] == 0
    assert parts["heatmap"] > 0 and parts["box"] > 0, "its box counts all the same"
    sum(parts.values()).backward()
    assert values["percent_diameter_stenosis"].grad.abs().sum() == 0
    assert torch.isfinite(values["size"].grad).all() and values["size"].grad.abs().sum() > 0


def test_in_a_mixed_batch_only_what_is_known_counts():
    mixed = LesionLoss(STRIDE).parts(output(2), rows([KNOWN], [UNKNOWN]))
    alone = LesionLoss(STRIDE).parts(output(1), rows([KNOWN]))
    assert mixed["percent"].item() == pytest.approx(alone["percent"].item())
    assert mixed["mld"].item() == pytest.approx(alone["mld"].item())
    values = output(2)
    LesionLoss(STRIDE)(values, rows([KNOWN], [UNKNOWN])).backward()
    gradient = values["mld_px"].grad
    assert gradient[0, 0] != 0 and gradient.abs().sum() == gradient[0, 0].abs()


def test_images_without_lesions_teach_the_heatmap_alone():
    values = output()
    parts = LesionLoss(STRIDE).parts(values, rows([]))
    assert parts["box"] == parts["percent"] == parts["mld"] == 0
    assert parts["heatmap"].item() == pytest.approx(0.25 * math.log(2) * 80, rel=1e-5)
    sum(parts.values()).backward()
    assert all(torch.isfinite(value.grad).all() for value in values.values() if value.grad is not None)


def test_predicted_boxes_are_not_compared_with_the_targets_figures():
    values = {name: value.detach() for name, value in output().items()}
    values["score"] = torch.full((1, 4), 0.5)
    assert "percent" not in LesionLoss(STRIDE).parts(values, rows([KNOWN]))


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected a target \(1, M, 8\).*found shape \(1, 8\)"):
        LesionLoss(STRIDE)(output(), torch.zeros(1, 8))
