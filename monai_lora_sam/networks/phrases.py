"""Check phrases before an encoder of words reads them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

#: Most phrases for one image; each has a mask of the image's size.
MOST_PHRASES = 100


def check_phrases(phrases: Sequence[str], limit: int | None = MOST_PHRASES) -> list[str]:
    """Return phrases without spaces at their ends, once they are known to be some.

    Args:
        phrases: for one image.
        limit: most phrases; None for a vocabulary.

    Raises:
        ValueError: no phrase, too many, one that is empty, no text, given twice, or in another script than Latin, which
            an encoder of English has hardly seen.

    Example:
        >>> check_phrases(["left kidney ", "aorta"])
        ['left kidney', 'aorta']
    """
    if isinstance(phrases, str) or not isinstance(phrases, Sequence):
        raise ValueError(f"phrases: expected a list of texts, found {phrases!r:.80}")
    if not phrases or len(phrases) > (limit or len(phrases)):
        raise ValueError(f"phrases: expected 1 to {limit or 'any number'} for an image, found {len(phrases)}")
    plain = []
    for phrase in phrases:
        if not isinstance(phrase, str):
            raise ValueError(f"phrase: expected a text, found {phrase!r:.80}")
        text = " ".join(phrase.split())
        if not any(letter.isalnum() for letter in text):
            raise ValueError(f"phrase: expected words, such as 'left kidney', found {phrase!r:.80}")
        script = _other_script(text)
        if script:
            raise ValueError(
                f"phrase {text!r:.80}: expected Latin letters, the script that the encoder was trained with, found "
                f"{script}"
            )
        if text in plain:
            raise ValueError(f"phrases: expected each phrase once, found {text!r:.80} again")
        plain.append(text)
    return plain


def _other_script(text: str) -> str | None:
    """Return the script of the first letter that is not Latin; Greek letters stand in names such as 'beta cell'."""
    for letter in text:
        if letter.isalpha():
            script = unicodedata.name(letter, "UNKNOWN").split()[0]
            if script not in ("LATIN", "GREEK", "MICRO", "FEMININE", "MASCULINE"):
                return script.capitalize()
    return None
