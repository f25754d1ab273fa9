"""Bring the cards of earlier versions of this package up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_lora_sam.adapters.card import CARD, FORMAT, card_digest
from monai_lora_sam.adapters.compatibility import check_base
from monai_lora_sam.adapters.saved import open_adapter
from monai_lora_sam.adapters.store import write_card
from monai_lora_sam.encoders import ImageEncoder, weights_fingerprint
from monai_lora_sam.files import atomic_folder


def renew_card(folder: str | Path, encoder: ImageEncoder) -> dict[str, Any]:
    """Write a card of form 1 anew as form 2, in which the base's fingerprint covers its architecture too.

    Weights, files and all other entries stay as they are.

    Args:
        folder: of the adapter or stage.
        encoder: the base that it was trained on, without adapters.

    Returns:
        The card; one of form 2 comes back as it is.

    Raises:
        ValueError: a damaged folder, or another base; expected and found fingerprints are named.

    Example:
        >>> renew_card("models/liver", build_encoder("tiny", True))["format"]  # doctest: +SKIP
        2
    """
    saved = open_adapter(folder)
    card = saved.card
    if card.get("format", 1) == FORMAT:
        return card
    weights = weights_fingerprint(encoder)
    check_base(folder, {**card, "format": FORMAT}, encoder, weights)
    base = {**card["encoder"], "fingerprint": encoder.fingerprint}
    card = {"format": FORMAT, **card, "encoder": base}
    card["digest"] = card_digest(card)
    with atomic_folder(folder) as temporary:
        for file, content in saved.contents.items():
            (temporary / file).write_bytes(content)
        write_card(card, temporary / CARD)
    return card
