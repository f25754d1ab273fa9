"""A promptable network that is asked by questions and answers in words and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.networks.heads import HeadEntry
from monai_lora_sam.networks.promptable_segmenter import ImageEmbedding, PromptableSegmenter, PromptedMasks
from monai_lora_sam.networks.reasoning.conversation import check_question, padded
from monai_lora_sam.networks.reasoning.reasoning_head import ReasoningHead
from monai_lora_sam.networks.stage_network import StageNetwork

#: Most tokens of an answer.
MOST_TOKENS = 64


class ReadAnswers(NamedTuple):
    """Hold hidden states of P questions with their answers.

    Attributes:
        states: (A, width), before each token of the answers, all answers one after another.
        tokens: (A,), the tokens that follow them.
        owner: (A,), the question of each.
        prompts: (K, 256), of each `[SEG]`.
        asked_by: (K,), the question of each.
    """

    states: Tensor
    tokens: Tensor
    owner: Tensor
    prompts: Tensor
    asked_by: Tensor


class Answer(NamedTuple):
    """Hold an answer.

    Attributes:
        text: in words; ``[SEG]`` stands for each mask.
        logits: (S, H, W), of the masks, at the image's size.
        iou: (S,), predicted.
    """

    text: str
    logits: Tensor
    iou: Tensor


class ReasoningSegmenter(PromptableSegmenter):
    """Answer questions about an image in words and in masks.

    The image is encoded once for all questions. Without questions it answers to points, boxes and masks as
    :class:`PromptableSegmenter` with the same adapters does.

    Args:
        stack, head, adapters, strategy, name, mixed_precision: see :class:`PromptableSegmenter`; the head is a
            :class:`ReasoningHead`.

    Example:
        >>> network = load_stage("models/reasoning/best")  # doctest: +SKIP
        >>> network.answer(network.encode(image), ["Where is the left kidney?"])[0].text  # doctest: +SKIP
        'The left kidney: [SEG].'
    """

    head: ReasoningHead

    @classmethod
    def new(  # type: ignore[override]
        cls,
        stack: AdapterStack,
        head: type[nn.Module],
        reads: Mapping[str, StageNetwork],
        *,
        name: str = "reasoning",
        strategy: str = "frozen",
        last_n: int = 2,
        lora: dict[str, Any] | None = None,
        mixed_precision: bool = True,
        pretrained: bool | str | Path = True,
        decoder: str = "lora",
        decoder_lora: dict[str, Any] | None = None,
        language_model: str = "smollm2",
        language_preset: str = "lora",
        language_lora: dict[str, Any] | None = None,
        language_rows: str = "new",
        language_precision: str = "bfloat16",
        grid: int = 8,
    ) -> ReasoningSegmenter:
        """Put a language model, a prompt encoder and a mask decoder on a stack.

        Args:
            stack, head, reads, name, strategy, last_n, lora, mixed_precision: see
                :func:`monai_lora_sam.networks.build_segmenter`; of the image encoder.
            pretrained, decoder, decoder_lora: see :meth:`PromptableSegmenter.new`.
            language_model, language_preset, language_lora, language_rows, language_precision: see
                :class:`LanguageModel`.
            grid: see :class:`ReasoningHead`.
        """
        language = {
            "source": language_model,
            "preset": language_preset,
            "lora": language_lora,
            "rows": language_rows,
            "precision": language_precision,
        }
        made: Any = super().new(
            stack,
            partial(head, language=language, grid=grid),  # type: ignore[arg-type]
            reads,
            name=name,
            strategy=strategy,
            last_n=last_n,
            lora=lora,
            mixed_precision=mixed_precision,
            pretrained=pretrained,
            decoder=decoder,
            decoder_lora=decoder_lora,
        )
        made.head.start()
        return made

    def read_answers(
        self, visual: Tensor, questions: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
    ) -> ReadAnswers:
        """Read questions with their answers.

        Args:
            visual: (P, V, width), visual tokens of the picture of each question.
            questions, answers: P lists of token ids, as :class:`Conversation` gives them.
        """
        rows = [[*question, *answer] for question, answer in zip(questions, answers, strict=True)]
        ids, mask = (one.to(visual.device) for one in padded(rows, self.head.language.conversation.end))
        first = torch.tensor([len(question) for question in questions], device=visual.device)
        of_answer = (torch.arange(ids.shape[1], device=visual.device) >= first[:, None]) & (mask > 0)
        hidden = self._hidden(visual, ids, mask)
        before, at = hidden[:, -ids.shape[1] - 1 : -1], hidden[:, -ids.shape[1] :]
        marks = (ids == self.head.language.token) & of_answer
        owner = torch.arange(len(rows), device=visual.device)[:, None].expand_as(ids)
        return ReadAnswers(
            before[of_answer], ids[of_answer], owner[of_answer], self.head.prompts_of(at[marks]), owner[marks]
        )

    def _inputs(self, visual: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings and mask of the text before the picture, the picture, and the text after it."""
        language = self.head.language
        before = torch.tensor(language.conversation.before, device=visual.device).long()
        words = language.embed(before).expand(len(visual), -1, -1)
        whole = torch.cat([words, visual.to(words.dtype), language.embed(ids)], dim=1)
        seen = mask.new_ones(len(visual), words.shape[1] + visual.shape[1])
        return whole, torch.cat([seen, mask], dim=1)

    def _hidden(self, visual: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        return self.head.language(*self._inputs(visual, ids, mask))

    @torch.no_grad()
    def write_answers(
        self,
        visual: Tensor,
        questions: Sequence[Sequence[int]],
        most_tokens: int = MOST_TOKENS,
        temperature: float = 0.0,
    ) -> list[list[int]]:
        """Return the token ids of answers, up to their ends; arguments as of :meth:`read_answers`."""
        language = self.head.language
        # Questions end at one place: what fills them up lies between the picture and them, and is masked.
        ids, mask = (one.to(visual.device) for one in padded(questions, language.conversation.end, left=True))
        found = language.generate(*self._inputs(visual, ids, mask), most_tokens, temperature).tolist()
        end = language.conversation.end
        return [row[: row.index(end)] if end in row else row for row in found]

    def decode_prompts(self, embedding: ImageEmbedding, prompts: Tensor) -> PromptedMasks:
        """Return the masks of K prompts (K, 256), each for its image of the embedding."""
        none = dict.fromkeys(("points", "point_labels", "boxes", "masks"))
        return self._ask_head(embedding, **none, multimask=False, tokens=prompts[:, None, None])  # type: ignore[arg-type]

    @torch.no_grad()
    def answer(
        self,
        embedding: ImageEmbedding,
        questions: Sequence[str],
        *,
        most_tokens: int = MOST_TOKENS,
        temperature: float = 0.0,
    ) -> list[Answer]:
        """Answer questions about one image.

        Args:
            embedding: of the image, as :meth:`encode` gives it.
            questions: one or several, answered at once.
            most_tokens: of an answer.
            temperature: of sampling; 0 takes the likeliest token each time.

        Raises:
            ValueError: a question that is none, see :func:`check_question`, or a temperature below 0.
        """
        if not temperature >= 0:
            raise ValueError(f"temperature: expected 0 or more, found {temperature!r}")
        conversation = self.head.language.conversation
        asked = [conversation.question(check_question(question)) for question in questions]
        visual = self.head.see(embedding.features).expand(len(asked), -1, -1)
        written = self.write_answers(visual, asked, most_tokens, temperature)
        return self.masks_of(embedding, visual, asked, written)

    @torch.no_grad()
    def masks_of(
        self,
        embedding: ImageEmbedding,
        visual: Tensor,
        questions: Sequence[Sequence[int]],
        answers: Sequence[Sequence[int]],
    ) -> list[Answer]:
        """Return answers that were written about one image with their masks."""
        read = self.read_answers(visual, questions, answers)
        height, width = embedding.size
        logits = visual.new_zeros(0, height, width, dtype=torch.float32)
        iou = logits.new_zeros(0)
        if len(read.prompts):
            one = ImageEmbedding(embedding.features.expand(len(read.prompts), -1, -1, -1), embedding.size)
            found = self.decode_prompts(one, read.prompts)
            logits, iou = found.logits[:, 0, 0], found.iou[:, 0, 0]
        text = self.head.language.conversation.text
        return [
            Answer(text(ids), logits[read.asked_by == place], iou[read.asked_by == place])
            for place, ids in enumerate(answers)
        ]


#: The entry of a language model before SAM's mask decoder.
REASONING = HeadEntry(ReasoningHead, ReasoningSegmenter)
