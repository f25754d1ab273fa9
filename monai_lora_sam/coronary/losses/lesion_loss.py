"""Loss of stage 3: heatmap, boxes, %DS and MLD, each where the target is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_lora_sam.coronary.networks import LESION_COLUMNS

#: Standard deviation of a target's Gaussian as a fraction of the box's side (Liu et al., AAAI 2020: 0.54 / 6).
SPREAD = 0.09
#: Smallest target of a cell that learns a box.
NEAR = 0.3


class LesionLoss(nn.Module):
    """Sum focal loss, L1 of the boxes and smooth L1 of %DS and MLD.

    The target heatmap has a Gaussian at each box's centre, in proportion to the box's sides (TTFNet, Liu et al., AAAI
    2020). It is compared by CenterNet's penalty-reduced focal loss (Zhou et al. 2019, after Law & Deng, ECCV 2018),
    divided by the number of lesions. Offset and logarithm of the sides are compared by L1 around each centre,
    weighted by its Gaussian. %DS and MLD are compared where the target knows them, so a batch may mix images with
    and without; a batch without known values has no such loss.

    Args:
        stride: stride of the network's map, ``head.stride``.
        box_weight: weight of offset and sides.
        percent_weight: weight of %DS, compared as a fraction.
        mld_weight: weight of MLD, compared in the network's pixels.

    Shapes:
        output: output of :class:`monai_lora_sam.coronary.networks.LesionDetector` at the target's boxes; without
        these boxes %DS and MLD belong to other boxes and are not compared.
        target: (B, M, 8), rows of ``LESION_COLUMNS``; NaN where unknown, rows of NaN where there is no lesion.

    Raises:
        ValueError: the target has another shape.
    """

    def __init__(
        self,
        stride: float,
        box_weight: float = 1.0,
        percent_weight: float = 2.0,
        mld_weight: float = 0.5,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.box_weight, self.percent_weight, self.mld_weight = box_weight, percent_weight, mld_weight

    def forward(self, output: Mapping[str, Tensor], target: Tensor) -> Tensor:
        return sum(self.parts(output, target).values(), output["heatmap"].new_zeros(()))

    def parts(self, output: Mapping[str, Tensor], target: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms: ``heatmap``, ``box``, ``percent``, ``mld``."""
        batch = len(output["heatmap"])
        if target.ndim != 3 or target.shape[0] != batch or target.shape[2] != len(LESION_COLUMNS):
            raise ValueError(
                f"expected a target ({batch}, M, {len(LESION_COLUMNS)}): {', '.join(LESION_COLUMNS)}; "
                f"found shape {tuple(target.shape)}"
            )
        target = target.to(output["heatmap"].device, torch.float32)
        present = ~target[..., :4].isnan().any(-1)  # (B, M)
        heatmap, gaussians = self.heatmap(target, output["heatmap"].shape[-2:])
        lesions = present.sum().clamp(min=1)
        terms = {
            "heatmap": _focal(output["heatmap"].float()[:, 0], heatmap) / lesions,
            "box": self.box_weight * self._box(output, target, gaussians),
        }
        if output["score"].shape == target.shape[:2] and output["score"].isnan().all():  # the target's boxes
            # Smooth L1 turns to L1 at 0.1, ten points of %DS, and at one pixel.
            percent = _masked(output["percent_diameter_stenosis"] / 100, target[..., 6] / 100, present, 0.1)
            terms["percent"] = self.percent_weight * percent
            terms["mld"] = self.mld_weight * _masked(output["mld_px"], target[..., 7], present, 1.0)
        return terms

    def heatmap(self, target: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the target heatmap (B, h, w) and each lesion's own Gaussian (B, M, h, w), 0 for an empty row.

        The cell that holds the centre of a box has the value 1.
        """
        boxes = target[..., :4] / self.stride
        rows = torch.arange(size[0], device=target.device)
        columns = torch.arange(size[1], device=target.device)
        centre = 0.5 * (boxes[..., :2] + boxes[..., 2:])
        sides = boxes[..., 2:] - boxes[..., :2]
        spread = (SPREAD * sides).clamp(min=0.5)
        cell = centre.floor()
        cell = torch.stack([cell[..., 0].clamp(0, size[1] - 1), cell[..., 1].clamp(0, size[0] - 1)], dim=-1)
        across = (columns - cell[..., 0, None]) / spread[..., 0, None]  # (B, M, w)
        down = (rows - cell[..., 1, None]) / spread[..., 1, None]  # (B, M, h)
        gaussians = torch.exp(-0.5 * (down[..., :, None] ** 2 + across[..., None, :] ** 2)).nan_to_num(0.0)
        return gaussians.amax(dim=1), gaussians

    def _box(self, output: Mapping[str, Tensor], target: Tensor, gaussians: Tensor) -> Tensor:
        """Compare offset and sides around each centre; where two lesions meet, with those of the nearer lesion."""
        weight, owner = gaussians.max(dim=1)  # (B, h, w)
        weight = torch.where(weight >= NEAR, weight, 0.0)
        boxes = (target[..., :4] / self.stride).nan_to_num(0.0)
        rows, columns = weight.shape[-2:]
        index = owner.flatten(1)[..., None].expand(-1, -1, 4)
        mine = boxes.gather(1, index).unflatten(1, (rows, columns))  # (B, h, w, 4)
        cells = torch.stack(
            torch.meshgrid(
                torch.arange(columns, device=target.device),
                torch.arange(rows, device=target.device),
                indexing="xy",
            ),
            dim=-1,
        )  # (h, w, 2): x, y
        offset = 0.5 * (mine[..., :2] + mine[..., 2:]) - (cells + 0.5)
        sides = (mine[..., 2:] - mine[..., :2]).clamp(min=1e-3).log()
        wrong = (output["offset"].movedim(1, -1) - offset).abs().sum(-1)
        wrong = wrong + (output["size"].movedim(1, -1) - sides).abs().sum(-1)
        return (wrong * weight).sum() / weight.sum().clamp(min=1.0)


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss, α = 2 and β = 4, summed."""
    probability = logits.sigmoid()
    positive = target == 1
    at_centres = (1 - probability) ** 2 * F.logsigmoid(logits) * positive
    elsewhere = (1 - target) ** 4 * probability**2 * F.logsigmoid(-logits) * ~positive
    return -(at_centres + elsewhere).sum()


def _masked(found: Tensor, expected: Tensor, present: Tensor, beta: float) -> Tensor:
    known = present & ~expected.isnan()
    # Not an index: NaN would reach the gradient of values that are multiplied by 0 later.
    expected = torch.where(known, expected, found.detach())
    return (F.smooth_l1_loss(found, expected, beta=beta, reduction="none") * known).sum() / known.sum().clamp(
        min=1
    )
