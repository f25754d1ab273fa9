"""Train a promptable network on prompts of any kind, with rounds of correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from monai.utils import convert_to_tensor
from torch import Tensor, nn

from monai_lora_sam.losses import intersection_over_union
from monai_lora_sam.networks import ImageEmbedding, PromptableSegmenter
from monai_lora_sam.transforms import next_click


class PromptedAnswers(NamedTuple):
    """Hold the answers to P prompts, of all images and rounds together; the arguments of `losses.PromptedLoss`.

    Attributes:
        logits: (P, 1, H, W).
        iou: (P, 1), predicted.
        truth: (P, 1, H, W), 0 and 1.
        valid: (P, 1, H, W), 1 in the image and 0 in its padding.
    """

    logits: Tensor
    iou: Tensor
    truth: Tensor
    valid: Tensor


class _Asked(NamedTuple):
    """Hold P prompts: owner (P,) is the image of each; a box (P, 4) of zeros is none, as is a point of label -1."""

    owner: Tensor
    boxes: Tensor
    points: Tensor
    labels: Tensor


class PromptedTraining(nn.Module):
    """Ask a promptable network about the objects of a batch, each by a prompt of its own kind.

    The decoder runs once for all prompts of one form, so that each is answered as in use: no prompt is filled up.
    While it trains, each further round adds a point where the answer is most wrong and gives the last answer as a mask
    prompt, as a user who corrects would (Kirillov et al., 2023). In evaluation there is one round, and images may have
    their own sizes.

    Args:
        network: to be trained.
        rounds: of correction after the first answers, 0 or more.

    Shapes:
        image: (B, 3, H, W), 0..1, each in the upper left of its padding; size (B, 2), its height and width there; boxes
        (B, N, 4), all zero for none; points (B, N, K, 2) with point_labels (B, N, K), the points that there are first
        and -1 after them; truth (B, N, H, W).

    Raises:
        ValueError: negative rounds, or a prompt that has neither a box nor a point.

    Example:
        >>> training = PromptedTraining(network, rounds=1)  # doctest: +SKIP
        >>> PromptedLoss()(*training(**batch))  # doctest: +SKIP
    """

    def __init__(self, network: PromptableSegmenter, rounds: int = 1) -> None:
        super().__init__()
        if rounds < 0:
            raise ValueError(f"rounds: expected 0 or more, found {rounds}")
        self.network, self.rounds = network, rounds

    def forward(
        self,
        image: Tensor,
        boxes: Tensor,
        points: Tensor,
        point_labels: Tensor,
        truth: Tensor,
        size: Tensor | None = None,
    ) -> PromptedAnswers:
        image = convert_to_tensor(image, track_meta=False)
        batch, count = boxes.shape[:2]
        owner = torch.arange(batch, device=image.device).repeat_interleave(count)
        height, width = image.shape[-2:]
        size = torch.tensor([(height, width)] * batch) if size is None else size
        features = self.read(image, size)
        truth = truth.flatten(0, 1)[:, None].float()
        valid = self.valid_area(size.to(image.device), height, width)[owner]

        asked = _Asked(owner, boxes.flatten(0, 1), points.flatten(0, 1), point_labels.flatten(0, 1))
        members = torch.arange(len(owner), device=image.device)
        logits, iou = self._answer(features, (height, width), asked, None)
        answers = [PromptedAnswers(logits, iou, truth, valid)]
        for _ in range(self.rounds if self.training else 0):
            kept, asked = self._corrected(asked, *answers[-1])
            if not len(kept):
                break
            members = members[kept]
            logits, iou = self._answer(features, (height, width), asked, logits.detach()[kept])
            answers.append(PromptedAnswers(logits, iou, truth[members], valid[members]))
        return PromptedAnswers(*(torch.cat(parts) for parts in zip(*answers, strict=True)))

    def parameter_groups(self, learning_rate: float, base_learning_rate: float) -> list[dict[str, Any]]:
        """Return the trained parameters for an optimiser: adapters at one rate, the base's own at another.

        A mask decoder and prompt encoder that train as a whole are the base's own, too.
        """
        head = self.network.head
        own = self.network.base_parameters()
        own |= {id(p) for p in head.parameters()} if head.trains == "full" else set()
        trained = [p for p in self.network.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if id(p) not in own], "lr": learning_rate},
            {"params": [p for p in trained if id(p) in own], "lr": base_learning_rate},
        ]
        return [group for group in groups if group["params"]]

    def valid_area(self, size: Tensor, height: int, width: int) -> Tensor:
        """Return (B, 1, height, width), 1 in each image and 0 in its padding, for sizes (B, 2)."""
        rows, columns = (torch.arange(side, device=size.device) for side in (height, width))
        limit = size[:, :, None]
        return ((rows < limit[:, 0])[:, :, None] & (columns < limit[:, 1])[:, None, :])[:, None].float()

    def read(self, image: Tensor, size: Tensor) -> Tensor:
        """Return the embedding of images as the network prepares each one alone, without its padding."""
        image = convert_to_tensor(image, track_meta=False)
        sizes = [(int(rows), int(columns)) for rows, columns in size.tolist()]
        encoder = self.network.stack.encoder
        mean, std = (
            image.new_tensor(values)[:, None, None] for values in (encoder.pixel_mean, encoder.pixel_std)
        )
        if not image.isfinite().all():
            raise ValueError("image: expected finite intensities, found NaN or infinity")
        parts = [
            self.network.prepare((one[None, :, :rows, :columns] - mean) / std)
            for one, (rows, columns) in zip(image, sizes, strict=True)
        ]
        return self.network.embed(torch.cat(parts).contiguous(memory_format=torch.channels_last))

    def _answer(
        self, features: Tensor, size: tuple[int, int], asked: _Asked, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return logits (P, 1, H, W) and predicted IoU (P, 1); the decoder runs for all prompts of one form at once."""
        forms: dict[tuple[bool, int], list[int]] = {}
        boxed = (asked.boxes[:, 2] > asked.boxes[:, 0]).tolist()
        counts = (asked.labels >= 0).sum(1).tolist()
        for index, form in enumerate(zip(boxed, counts, strict=True)):
            forms.setdefault(form, []).append(index)
        if (False, 0) in forms:
            raise ValueError("expected a box or a point in each prompt, found neither")
        logits, iou, order = [], [], []
        for (has_box, points), indices in forms.items():
            chosen = torch.tensor(indices, device=features.device)
            prompts: dict[str, Any] = {"boxes": asked.boxes[chosen][:, None]} if has_box else {}
            if points:
                prompts["points"] = asked.points[chosen, None, :points]
                prompts["point_labels"] = asked.labels[chosen, None, :points]
            if masks is not None:
                prompts["masks"] = masks[chosen]
            found = self.network.decode(ImageEmbedding(features[asked.owner[chosen]], size), **prompts)
            logits.append(found.logits[:, 0])
            iou.append(found.iou[:, 0])
            order += indices
        back = torch.tensor(order, device=features.device).argsort()
        return torch.cat(logits)[back], torch.cat(iou)[back]

    def _corrected(
        self, asked: _Asked, logits: Tensor, iou: Tensor, truth: Tensor, valid: Tensor
    ) -> tuple[Tensor, _Asked]:
        """Return the indices of the prompts whose answers are wrong, and these prompts with a point more."""
        found = ((logits.detach() > 0) & (valid > 0))[:, 0].cpu().numpy()
        true = (truth > 0.5)[:, 0].cpu().numpy()
        clicks = [next_click(one, other) for one, other in zip(true, found, strict=True)]
        wrong = [index for index, click in enumerate(clicks) if click is not None]
        kept = torch.tensor(wrong, dtype=torch.long, device=logits.device)
        labels = torch.nn.functional.pad(asked.labels[kept], (0, 1), value=-1)
        points = torch.nn.functional.pad(asked.points[kept], (0, 0, 0, 1))
        places = (labels >= 0).sum(1).tolist()
        for row, (index, place) in enumerate(zip(wrong, places, strict=True)):
            xy, label = clicks[index]  # type: ignore[misc]  # those that are None were left out
            points[row, place] = torch.as_tensor(xy, device=points.device)
            labels[row, place] = label
        return kept, _Asked(asked.owner[kept], asked.boxes[kept], points, labels)


def answered_masks(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the masks of an evaluator's answers for one image and the truth, (1, P, H, W) as 0 and 1.

    Args:
        output: of MONAI's evaluator; ``pred`` is :class:`PromptedAnswers`.
    """
    answers: PromptedAnswers = output["pred"]
    found = ((answers.logits > 0) & (answers.valid > 0)).float()
    return found.transpose(0, 1), answers.truth.transpose(0, 1)


def iou_error(output: Mapping[str, Any]) -> float:
    """Return the mean distance of the predicted intersection over union from the true one, in one batch.

    Args:
        output: of MONAI's evaluator; ``pred`` is :class:`PromptedAnswers`.
    """
    answers: PromptedAnswers = output["pred"]
    true = intersection_over_union(answers.logits, answers.truth, answers.valid)
    return float((answers.iou - true).abs().mean())
