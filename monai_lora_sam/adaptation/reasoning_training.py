"""Train a promptable network on questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from monai_lora_sam.adaptation.prompted_training import PromptedTraining
from monai_lora_sam.networks import SEG, ImageEmbedding, ReasoningSegmenter

#: Value of a pixel of the truth that does not count.
IGNORE = 255


class Written(NamedTuple):
    """Hold the answers that a network wrote to P questions, with E masks that were asked for.

    Attributes:
        masks: (E, 1, H, W), 0 and 1; empty where the answer has none.
        truth: (E, 1, H, W), 0, 1 and 255 for pixels that do not count.
        tokens: (P, T), filled up with -1.
        expected: (P, T), the tokens of the right answers.
    """

    masks: Tensor
    truth: Tensor
    tokens: Tensor
    expected: Tensor


class ReasoningAnswers(NamedTuple):
    """Hold the answers to P questions, of all images together.

    Attributes:
        token_logits, tokens, logits, truth, valid: the arguments of `losses.ReasoningLoss`, of the right answers.
        written: by the network itself; None in training.
    """

    token_logits: Tensor
    tokens: Tensor
    logits: Tensor
    truth: Tensor
    valid: Tensor
    written: Written | None

    def for_loss(self) -> dict[str, Tensor]:
        """Return the arguments of `losses.ReasoningLoss`."""
        return {name: value for name, value in self._asdict().items() if name != "written"}


class ReasoningTraining(PromptedTraining):
    """Ask a network the questions of a batch and read the right answers; in evaluation it also writes its own.

    Args:
        network: to be trained.
        questions, answers: all there are; those of a batch are places in these lists.
        most_tokens: of an answer that it writes.

    Shapes:
        image: (B, 3, H, W), 0..1, each in the upper left of its padding, or None where features (B, 256, h, w) of
        :meth:`read` are given; size (B, 2), its height and width there; question, answer (B, N); truth (B, N, S, H, W),
        asks (B, N, S) and valid (B, H, W), as :class:`monai_lora_sam.transforms.DrawQuestionsd` gives them.

    Example:
        >>> training = ReasoningTraining(network, ["Where is the liver?"], ["Here: [SEG]."])  # doctest: +SKIP
        >>> ReasoningLoss()(**training(**batch).for_loss())  # doctest: +SKIP
    """

    network: ReasoningSegmenter

    def __init__(
        self,
        network: ReasoningSegmenter,
        questions: Sequence[str],
        answers: Sequence[str],
        most_tokens: int = 48,
    ) -> None:
        super().__init__(network, rounds=0)
        conversation = network.head.language.conversation
        self.questions = [conversation.question(text) for text in questions]
        self.answers = [conversation.answer(text) for text in answers]
        self.marks = [text.count(SEG) for text in answers]
        self.most_tokens = most_tokens

    def forward(  # type: ignore[override]
        self,
        image: Tensor | None,
        question: Tensor,
        answer: Tensor,
        truth: Tensor,
        asks: Tensor,
        valid: Tensor,
        size: Tensor,
        features: Tensor | None = None,
    ) -> ReasoningAnswers:
        count, (height, width) = question.shape[1], truth.shape[-2:]
        if features is None:
            assert image is not None
            features = self.read(image, size)
        owner = torch.arange(len(features), device=features.device).repeat_interleave(count)
        visual = self.network.head.see(features)[owner]
        asked = [self.questions[place] for place in question.flatten().tolist()]
        right = [self.answers[place] for place in answer.flatten().tolist()]
        read = self.network.read_answers(visual, asked, right)
        counts = (valid * self.valid_area(size.to(valid.device), height, width)[:, 0])[owner]
        places = _order(read.asked_by)
        shown = truth.flatten(0, 1)[read.asked_by, places][:, None].float()
        logits = self._masks(features, owner[read.asked_by], read.prompts, (height, width))
        return ReasoningAnswers(
            self.network.head.language.logits(read.states),
            read.tokens,
            logits,
            shown,
            counts[read.asked_by][:, None],
            None
            if self.training
            else self._write(
                features, owner, visual, asked, right, truth.flatten(0, 1), asks.flatten(0, 1), counts
            ),
        )

    def _masks(self, features: Tensor, owner: Tensor, prompts: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the logits (K, 1, H, W) of prompts (K, 256)."""
        if not len(prompts):
            return features.new_zeros(0, 1, *size)
        return self.network.decode_prompts(ImageEmbedding(features[owner], size), prompts).logits[:, 0]

    @torch.no_grad()
    def _write(
        self,
        features: Tensor,
        owner: Tensor,
        visual: Tensor,
        asked: list[list[int]],
        right: list[list[int]],
        truth: Tensor,
        asks: Tensor,
        counts: Tensor,
    ) -> Written:
        written = self.network.write_answers(visual, asked, self.most_tokens)
        read = self.network.read_answers(visual, asked, written)
        height, width = truth.shape[-2:]
        logits = self._masks(features, owner[read.asked_by], read.prompts, (height, width))
        found = torch.zeros_like(truth)
        for mask, row, place in zip(
            logits[:, 0] > 0, read.asked_by.tolist(), _order(read.asked_by).tolist(), strict=True
        ):
            if place < found.shape[1]:
                found[row, place] = mask
        inside = counts[:, None].expand(truth.shape) > 0
        wanted = asks > 0
        end = self.network.head.language.conversation.end
        expected = [row[: row.index(end)] for row in right]
        longest = max([1, *(len(row) for row in (*written, *expected))])
        tokens, true = (
            torch.tensor([row + [-1] * (longest - len(row)) for row in rows], device=truth.device)
            for rows in (written, expected)
        )
        return Written(
            (found * inside)[wanted][:, None],
            torch.where(inside, truth, IGNORE)[wanted][:, None],
            tokens,
            true,
        )

    def parameter_groups(self, learning_rate: float, new_learning_rate: float) -> list[dict[str, Any]]:  # type: ignore[override]
        """Return the trained parameters for an optimiser: what a base has or adapts, and the layers that start anew."""
        head = self.network.head
        new = {id(p) for part in (head.projection, head.visual) for p in part.parameters()}
        new |= {id(p) for name, p in head.named_parameters() if name.endswith(".rows")}
        trained = [p for p in self.network.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if id(p) not in new], "lr": learning_rate},
            {"params": [p for p in trained if id(p) in new], "lr": new_learning_rate},
        ]
        return [group for group in groups if group["params"]]


def _order(owner: Tensor) -> Tensor:
    """Return the place of each mark among those of its own answer.

    Example:
        >>> _order(torch.tensor([0, 0, 2])).tolist()
        [0, 1, 0]
    """
    same = owner[:, None] == owner[None]
    return same.tril(-1).sum(1)


def masks_asked_for(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the masks that a network wrote and the truth, (E, 1, H, W), for `metrics.ReasoningIoUMetric`.

    Args:
        output: of MONAI's evaluator; ``pred`` is :class:`ReasoningAnswers`.
    """
    written: Written = output["pred"].written
    return written.masks, written.truth


def answered_dice(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the masks that a network wrote and the truth, (E, 1, H, W) as 0 and 1, for MONAI's ``MeanDice``.

    Where none is asked for there is an empty one, which that metric leaves out.

    Args:
        output: of MONAI's evaluator; ``pred`` is :class:`ReasoningAnswers`.
    """
    found, truth = masks_asked_for(output)
    if not len(truth):
        found = truth = truth.new_zeros(1, *truth.shape[1:])
    return found.float(), (truth == 1).float()


def answered_tokens(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the tokens that a network wrote and the expected ones, (P, T), for `metrics.AnswerMetric`.

    Args:
        output: of MONAI's evaluator; ``pred`` is :class:`ReasoningAnswers`.
    """
    written: Written = output["pred"].written
    return written.tokens, written.expected
