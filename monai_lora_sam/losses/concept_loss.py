"""Compare SAM 3's instances with the true ones, as in its training (Carion et al., 2025)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import generalized_box_iou, sigmoid_focal_loss

#: Weight of each term in Meta's training of image segmentation.
WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "loss_bbox": 5.0,
        "loss_giou": 2.0,
        "loss_ce": 20.0,
        "presence_loss": 20.0,
        "loss_mask": 200.0,
        "loss_dice": 10.0,
        "loss_semantic_seg": 20.0,
        "loss_semantic_dice": 30.0,
    }
)
#: Cost of a class, of the L1 distance and of the generalised overlap of boxes in the matching.
COST_CLASS, COST_BBOX, COST_GIOU = 2.0, 5.0, 2.0
ALPHA, GAMMA = 0.25, 2.0
#: α of the focal loss of the semantic mask.
SEMANTIC_ALPHA = 0.6
#: Weight of a matched query among the others in the class loss.
POSITIVE = 10.0


class ConceptLoss(nn.Module):
    """Match instances to the true ones and add the terms of boxes, class, presence, masks and semantic mask.

    Each phrase's queries are matched to its instances by the Hungarian algorithm. The target of a matched query's score
    is p^0.25 · IoU^0.75, its own probability and the overlap of its box, so that scores tell how good a box is. The
    class term is the mean over the queries, boxes and masks are means over the instances, and all are means over the
    phrases that name something. A phrase without instances trains presence alone.

    Args:
        weights: of the terms, by their names; those of Meta's training if None.

    Shapes:
        output: SAM 3's, of P phrases. masks: for each phrase (K, H, W), 0 and 1, its K instances; K is 0 if absent.
        weight: (P,), of the phrases, equal ones if None.
        Returns the terms by name, each weighted, and their sum under ``loss``.

    Raises:
        ValueError: an unknown term, or another number of phrases.

    Example:
        >>> ConceptLoss()(network.answer(embedding, ids, mask), masks)["loss"].backward()  # doctest: +SKIP
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        unknown = sorted((weights or {}).keys() - WEIGHTS.keys())
        if unknown:
            raise ValueError(f"weights: expected some of {list(WEIGHTS)}, found {unknown}")
        self.weights = {**WEIGHTS, **(weights or {})}

    def forward(
        self, output: Any, masks: Sequence[Tensor], weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        count = len(output.pred_logits)
        if len(masks) != count:
            raise ValueError(f"masks: expected those of {count} phrases, found {len(masks)}")
        shown = [row for row, found in enumerate(masks) if len(found)]
        present = torch.tensor([float(len(found) > 0) for found in masks], device=output.pred_logits.device)
        sums: dict[str, Any] = dict.fromkeys(
            WEIGHTS, 0 * output.pred_masks.sum() + 0 * output.pred_boxes.sum()
        )
        sums["presence_loss"] = functional.binary_cross_entropy_with_logits(
            output.presence_logits.reshape(count).float(), present, weight=weight
        )
        share = torch.ones_like(present) if weight is None else weight
        for row in shown:
            for name, value in self._of_phrase(output, row, masks[row].to(present.device).float()).items():
                sums[name] = sums[name] + value * share[row] / share[shown].sum()
        terms = {name: self.weights[name] * value for name, value in sums.items()}
        return {**terms, "loss": sum(terms.values())}  # type: ignore[dict-item]

    def _of_phrase(self, output: Any, row: int, masks: Tensor) -> dict[str, Tensor]:
        boxes, logits = output.pred_boxes[row].float(), output.pred_logits[row].float()
        true = relative_boxes(masks)
        queries, instances = match(boxes, logits, true)
        found = boxes[queries]
        giou = generalized_box_iou(found, true[instances]).diagonal()
        target = torch.zeros_like(logits)
        with torch.no_grad():
            overlap = _iou(found, true[instances])
            target[queries] = logits[queries].sigmoid() ** 0.25 * overlap**0.75
            weight = torch.ones_like(logits)
            weight[queries] = POSITIVE
            # Far from its target a query counts in full, an easy one hardly: the focal idea with soft targets.
            weight *= torch.where(target > 0, 1.0, logits.sigmoid() ** GAMMA)
        classes = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        size = output.pred_masks.shape[-2:]
        small = functional.interpolate(masks[:, None], size, mode="area")[:, 0]
        drawn = output.pred_masks[row, queries].float()
        semantic = output.semantic_seg[row, 0].float()
        whole = small.amax(0) if semantic.shape == size else _area(masks.amax(0), semantic.shape)
        number = max(1, len(instances))
        return {
            "loss_bbox": (_centred(found) - _centred(true[instances])).abs().sum() / number,
            "loss_giou": (1 - giou).sum() / number,
            "loss_ce": (weight * classes).mean(),
            "loss_mask": sigmoid_focal_loss(drawn, small[instances], ALPHA, GAMMA).mean((1, 2)).sum()
            / number,
            "loss_dice": _dice(drawn, small[instances]).sum() / number,
            "loss_semantic_seg": sigmoid_focal_loss(semantic, whole, SEMANTIC_ALPHA, GAMMA).mean(),
            "loss_semantic_dice": _dice(semantic[None], whole[None]).sum(),
        }


@torch.no_grad()
def match(boxes: Tensor, logits: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Return the queries and the instances that belong to each other, at the lowest sum of costs.

    Args:
        boxes: (Q, 4), (x0, y0, x1, y1) in shares of the image.
        logits: (Q,), of the queries' scores.
        true: (K, 4), boxes of the instances.
    """
    score = logits.float().sigmoid()
    negative = (1 - ALPHA) * score**GAMMA * -torch.log1p(-score + 1e-8)
    positive = ALPHA * (1 - score) ** GAMMA * -torch.log(score + 1e-8)
    cost = COST_CLASS * (positive - negative)[:, None]
    cost = cost + COST_BBOX * torch.cdist(_centred(boxes.float()), _centred(true), p=1)
    cost = cost - COST_GIOU * generalized_box_iou(boxes.float(), true)
    queries, instances = linear_sum_assignment(cost.cpu().numpy())
    return torch.as_tensor(queries, device=boxes.device), torch.as_tensor(instances, device=boxes.device)


def relative_boxes(masks: Tensor) -> Tensor:
    """Return the box (K, 4) of each mask (K, H, W) as (x0, y0, x1, y1) in shares of the image.

    Raises:
        ValueError: an empty mask.

    Example:
        >>> mask = torch.zeros(1, 4, 4)
        >>> mask[0, 1:3, 2:] = 1
        >>> relative_boxes(mask)
        tensor([[0.5000, 0.2500, 1.0000, 0.7500]])
    """
    if not masks.flatten(1).any(1).all():
        raise ValueError(
            "masks: expected an object in each, found an empty one (no mask says that it is absent)"
        )
    sides = []
    for axis in (1, 2):
        line = masks.bool().any(axis)  # columns first, then rows
        places = torch.arange(line.shape[1], device=masks.device)
        low = torch.where(line, places, line.shape[1]).amin(1)
        high = torch.where(line, places + 1, 0).amax(1)
        sides.append((low / line.shape[1], high / line.shape[1]))
    (x0, x1), (y0, y1) = sides
    return torch.stack([x0, y0, x1, y1], 1).float()


def _centred(boxes: Tensor) -> Tensor:
    low, high = boxes[:, :2], boxes[:, 2:]
    return torch.cat([(low + high) / 2, high - low], 1)


def _iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap of pairs of boxes."""
    inside = (
        torch.minimum(first[:, 2:], second[:, 2:]) - torch.maximum(first[:, :2], second[:, :2])
    ).clamp_min(0)
    both = inside.prod(1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(1) for boxes in (first, second)]
    return both / (areas[0] + areas[1] - both).clamp_min(1e-8)


def _dice(logits: Tensor, truth: Tensor) -> Tensor:
    found, true = logits.sigmoid().flatten(1), truth.flatten(1)
    return 1 - (2 * (found * true).sum(1) + 1) / (found.sum(1) + true.sum(1) + 1)


def _area(mask: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(mask[None, None], size, mode="area")[0, 0]
