"""Write a question about a picture as the tokens that a language model was trained to answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from monai_lora_sam.networks.phrases import check_phrases

#: The token that stands for a mask in an answer.
SEG = "[SEG]"
#: Most characters of a question, so that it and the picture leave room for an answer.
MOST_CHARACTERS = 1000
_IMAGE, _QUESTION = "\ue000", "\ue001"  # of Unicode's private use: no text has them


class Conversation:
    """Turn questions and answers into tokens by the model's own chat template, and tokens into answers.

    Args:
        tokenizer: of transformers.
        source: of the model, for messages.

    Attributes:
        token: id of `[SEG]`, which the tokenizer does not know.
        end: id of the token that ends an answer.
        before: ids of the text before the picture.

    Raises:
        ValueError: a tokenizer without a chat template or without an end token, or one that has `[SEG]`.
    """

    def __init__(self, tokenizer: Any, source: str) -> None:
        self.tokenizer, self.source, self.token = tokenizer, source, -1
        if SEG in tokenizer.get_vocab():
            raise ValueError(
                f"{source}: expected a vocabulary without {SEG}, found it in the tokenizer: was the model trained for "
                "segmentation by another program? Give the model before that"
            )
        if not tokenizer.chat_template:
            raise ValueError(
                f"{source}: expected a language model with a chat template, such as an 'Instruct' model, found none"
            )
        if tokenizer.eos_token_id is None:
            raise ValueError(f"{source}: expected a tokenizer with a token that ends a text, found none")
        self.end: int = tokenizer.eos_token_id
        message = [{"role": "user", "content": f"{_IMAGE}\n{_QUESTION}"}]
        text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        before, found, rest = text.partition(_IMAGE)
        middle, also, after = rest.partition(_QUESTION)
        if not found or not also:
            raise ValueError(
                f"{source}: expected a chat template that shows the question, found {text!r:.200}"
            )
        self.before = self._ids(before)
        self._middle, self._after = self._ids(middle), self._ids(after)

    def _ids(self, text: str, plain: bool = False) -> list[int]:
        """Return the ids of a text; in a plain one the names of control tokens are mere words."""
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=plain).input_ids

    def question(self, question: str) -> list[int]:
        """Return the ids of the text after the picture, up to where the answer begins."""
        return [*self._middle, *self._ids(question, plain=True), *self._after]

    def answer(self, answer: str) -> list[int]:
        """Return the ids of an answer and its end.

        Example:
            >>> conversation.answer("The liver: [SEG].")[-1] == conversation.end  # doctest: +SKIP
            True
        """
        ids: list[int] = []
        for place, part in enumerate(answer.split(SEG)):
            ids += [self.token] if place else []
            ids += self._ids(part, plain=True) if part else []
        return [*ids, self.end]

    def text(self, ids: Sequence[int]) -> str:
        """Return the answer of ids, up to its end, with `[SEG]` for each mask."""
        kept = list(ids)
        if self.end in kept:
            kept = kept[: kept.index(self.end)]
        parts: list[list[int]] = [[]]
        for one in kept:
            if one == self.token:
                parts.append([])
            else:
                parts[-1].append(one)
        return SEG.join(self.tokenizer.decode(part, skip_special_tokens=True) for part in parts)


def check_question(question: str) -> str:
    """Return a question without spaces at its ends, once it is known to be one.

    Raises:
        ValueError: no text, one without words, one of more than 1,000 characters, or one in another script than Latin.

    Example:
        >>> check_question(" Where is the aorta? ")
        'Where is the aorta?'
    """
    if not isinstance(question, str) or not re.search(r"\w", question):
        raise ValueError(f"question: expected words, such as 'Where is the aorta?', found {question!r:.80}")
    if len(question) > MOST_CHARACTERS:
        raise ValueError(
            f"question: expected up to {MOST_CHARACTERS:,} characters, found {len(question):,}: ask for one thing"
        )
    try:
        return check_phrases([question])[0]
    except ValueError as error:
        raise ValueError(f"question: {error}; ask in English") from error


def padded(rows: Sequence[Sequence[int]], fill: int, left: bool = False) -> tuple[Tensor, Tensor]:
    """Return ids (P, T) filled up to the longest row, and their mask.

    Example:
        >>> padded([[1, 2], [3]], 0)[0].tolist()
        [[1, 2], [3, 0]]
    """
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), fill)
    mask = torch.zeros_like(ids)
    for row, values in enumerate(rows):
        place = slice(longest - len(values), None) if left else slice(len(values))
        ids[row, place] = torch.tensor(list(values), dtype=torch.long)
        mask[row, place] = 1
    return ids, mask
