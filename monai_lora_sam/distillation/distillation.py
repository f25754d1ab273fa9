"""A frozen promptable teacher and a student that learns its embedding and its masks."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from monai.utils import convert_to_tensor
from torch import Tensor

from monai_lora_sam.networks import DecoderSource, PromptableSegmenter
from monai_lora_sam.transforms import next_click

Prompts = dict[str, Tensor]


class DistilledBatch(NamedTuple):
    """Hold the arguments of :class:`monai_lora_sam.losses.DistillationLoss`, in its order.

    Attributes:
        student_features, teacher_features: (B, 256, h, w), each on its own grid.
        student_logits, teacher_logits: (B, N, 1, 4h, 4w), N prompts an image in each round; None without masks.
        valid: (B, 1, S, S), 1 in the images and 0 in their padding.
    """

    student_features: Tensor
    teacher_features: Tensor
    student_logits: Tensor | None
    teacher_logits: Tensor | None
    valid: Tensor


class Distillation(PromptableSegmenter):
    """Run a frozen teacher and its student on the same images and prompts.

    As a network it is the teacher, whose embedding :meth:`read` returns, so that a feature cache can hold it. The
    student is a part of it and alone trains. Its prompt encoder and mask decoder are the teacher's and stay as they
    are: the gradient of its masks passes through them.

    A live embedding is rounded to float16, as a cache stores it, so that it does not matter where it comes from. After
    the first answers, each further round adds a point where student and teacher differ most (Zhou et al., EdgeSAM,
    2023), the same for both.

    Args:
        teacher: is frozen, in place.
        student: whose encoder trains, with the teacher's prompt encoder and mask decoder.
        rounds: of prompts while it trains; 0 compares embeddings alone, 1 answers to the prompts given as well. In
            evaluation there is always one round.
        decoder: where prompt encoder and mask decoder come from, for the student's card.

    Shapes:
        image: (B, 3, S, S), 0..1, each image in the upper left of a padded square; size (B, 2), its height and width
        there; boxes (B, N, 4) and points (B, N, K, 2) with point_labels (B, N, K), in pixels of the square; features
        (B, 256, h, w), the teacher's embedding; computed where they are None.

    Raises:
        ValueError: an image that is not finite, sizes or prompts that do not fit, features of another shape than the
            teacher's.

    Example:
        >>> pair = new_distillation("medsam_lite", student_name="mini")  # doctest: +SKIP
        >>> DistillationLoss()(*pair(image, size, boxes=boxes))  # doctest: +SKIP
    """

    def __init__(
        self,
        teacher: PromptableSegmenter,
        student: PromptableSegmenter,
        rounds: int = 0,
        decoder: DecoderSource | None = None,
    ) -> None:
        super().__init__(
            teacher.stack, teacher.head, teacher.adapters, "frozen", "teacher", teacher.mixed_precision
        )
        if rounds < 0:
            raise ValueError(f"rounds: expected 0 or more, found {rounds}")
        self.requires_grad_(False)
        self.student = student
        self.rounds = rounds
        self.decoder = decoder
        self.train(self.training)

    def train(self, mode: bool = True) -> Distillation:
        """Set training mode for the student's encoder alone."""
        super().train(mode)
        for part in (self.stack, self.head, self.student.head):
            part.eval()
        return self

    def parameter_groups(self, learning_rate: float, base_learning_rate: float) -> list[dict[str, Any]]:
        """Return the optimiser's parameter groups: the student's neck, and its backbone with a rate of its own."""
        parts: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
        for name, parameter in self.student.stack.encoder.model.named_parameters():
            if parameter.requires_grad:
                parts[name.startswith("neck.")].append(parameter)
        groups = [
            {"params": parts[True], "lr": learning_rate},
            {"params": parts[False], "lr": base_learning_rate},
        ]
        return [group for group in groups if group["params"]]

    def read(self, image: Tensor, size: Tensor | None = None, **conditions: Tensor | None) -> Tensor:
        """Return the teacher's embedding (B, 256, h, w) of images in 0..1 that were padded from these sizes."""
        return self._embedding(self, image, self._sizes(image, size))

    def forward(  # type: ignore[override]
        self,
        image: Tensor,
        size: Tensor | None = None,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        features: Tensor | None = None,
    ) -> DistilledBatch:
        sizes = self._sizes(image, size)
        if features is None:
            with torch.no_grad():
                features = self._embedding(self, image, sizes).to(torch.float16).float()
        self._check_features(features, len(image))
        learnt = self._embedding(self.student, image, sizes)
        rows, columns = (torch.arange(side, device=image.device) for side in image.shape[-2:])
        limit = torch.tensor(sizes, device=image.device)[:, :, None]
        valid = (rows < limit[:, 0])[:, None, :, None] & (columns < limit[:, 1])[:, None, None, :]
        rounds = self.rounds if self.training else 1
        student, teacher = [], []
        for prompts in self._kinds(boxes, points, point_labels) if rounds else []:
            for number in range(rounds):
                student.append(self._answer(self.student, learnt, prompts, image.shape[-1]))
                with torch.no_grad():
                    teacher.append(self._answer(self, features, prompts, image.shape[-1]))
                if number + 1 < rounds:
                    prompts = with_next_points(prompts, student[-1], teacher[-1], valid)
        return DistilledBatch(
            learnt,
            features,
            torch.cat(student, 1) if student else None,
            torch.cat(teacher, 1) if teacher else None,
            valid.float(),
        )

    def _sizes(self, image: Tensor, size: Tensor | None) -> list[tuple[int, int]]:
        if not image.isfinite().all():
            raise ValueError("image: expected finite intensities, found NaN or infinity")
        height, width = image.shape[-2:]
        if height != width:
            raise ValueError(f"image: expected a square, found {height}x{width} (rows x columns)")
        if size is None:
            return [(height, width)] * len(image)
        if size.shape != (len(image), 2):
            raise ValueError(f"size: expected the shape ({len(image)}, 2), found {tuple(size.shape)}")
        sizes = [(int(rows), int(columns)) for rows, columns in size.tolist()]
        for found in sizes:
            if not all(1 <= side <= height for side in found):
                raise ValueError(f"size: expected 1 to {height} pixels, found {found}")
        return sizes

    def _embedding(self, network: PromptableSegmenter, image: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Return a network's embedding of images as it prepares each one alone, without the padding."""
        image = convert_to_tensor(image, track_meta=False)
        encoder = network.stack.encoder
        mean, std = (
            image.new_tensor(values)[:, None, None] for values in (encoder.pixel_mean, encoder.pixel_std)
        )
        parts = [
            network.prepare((one[None, :, :rows, :columns] - mean) / std)
            for one, (rows, columns) in zip(image, sizes, strict=True)
        ]
        return network.embed(torch.cat(parts).contiguous(memory_format=torch.channels_last))

    def _check_features(self, features: Tensor, count: int) -> None:
        encoder = self.stack.encoder
        cells = round(encoder.image_size / encoder.strides[-1])
        expected = (count, encoder.channels[-1], cells, cells)
        if tuple(features.shape) != expected:
            raise ValueError(
                f"features: expected the teacher's embedding {expected}, found {tuple(features.shape)}"
            )

    def _kinds(
        self, boxes: Tensor | None, points: Tensor | None, point_labels: Tensor | None
    ) -> list[Prompts]:
        """Return the prompts by kind, of the kinds that the teacher was trained with."""
        kinds: list[Prompts] = []
        if boxes is not None and "boxes" in self.head.prompts:
            kinds.append({"boxes": boxes})
        if points is not None and point_labels is not None and "points" in self.head.prompts:
            kinds.append({"points": points, "point_labels": point_labels})
        if not kinds:
            raise ValueError(f"expected prompts of the kinds {', '.join(self.head.prompts)}, found none")
        return kinds

    @staticmethod
    def _answer(network: PromptableSegmenter, features: Tensor, prompts: Prompts, canvas: int) -> Tensor:
        """Return logits (B, N, 1, 4h, 4w) for prompts in pixels of the canvas, on the decoder's grid."""
        side = network.stack.encoder.image_size
        placed: dict[str, Any] = {
            name: value if name == "point_labels" else value * (side / canvas)
            for name, value in prompts.items()
        }
        return network.head(features, side, **placed)[0]


def with_next_points(prompts: Prompts, student: Tensor, teacher: Tensor, valid: Tensor) -> Prompts:
    """Add a point to each prompt: the centre of the largest region in which student and teacher differ.

    The point is foreground where the teacher alone sees the object, else background. Where the masks agree its label is
    -1, no point.

    Args:
        prompts: boxes (B, N, 4) or points (B, N, K, 2) with point_labels (B, N, K), in pixels of the canvas.
        student, teacher: logits (B, N, 1, h, w) on grids of any size.
        valid: (B, 1, S, S) bool; S is the side of the canvas.

    Returns:
        The prompts with points (B, N, K + 1, 2) and point_labels (B, N, K + 1).
    """
    with torch.no_grad():
        grid = [int(side) for side in teacher.shape[-2:]]
        answers = student.detach().flatten(1, 2)
        if list(answers.shape[-2:]) != grid:
            answers = torch.nn.functional.interpolate(answers, grid, mode="bilinear", align_corners=False)
        inside = torch.nn.functional.interpolate(valid.float(), grid, mode="area") > 0.5
        truths = ((teacher.flatten(1, 2) > 0) & inside).cpu().numpy()
        found = ((answers > 0) & inside).cpu().numpy()
    batch, count = truths.shape[:2]
    points = torch.zeros(batch, count, 1, 2)
    labels = torch.full((batch, count, 1), -1)
    scale = torch.tensor([valid.shape[-1] / grid[1], valid.shape[-2] / grid[0]])
    for image in range(batch):
        for number in range(count):
            click = next_click(truths[image, number], found[image, number])
            if click is not None:
                centre = (torch.from_numpy(click[0]) + 0.5) * scale - 0.5
                points[image, number, 0] = centre.clamp(min=0)
                labels[image, number, 0] = click[1]
    points, labels = points.to(teacher.device), labels.to(teacher.device)
    if "points" in prompts:
        points = torch.cat([prompts["points"].float(), points], dim=2)
        labels = torch.cat([prompts["point_labels"].long(), labels], dim=2)
    return {**prompts, "points": points, "point_labels": labels}
