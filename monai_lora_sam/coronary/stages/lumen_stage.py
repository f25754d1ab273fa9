"""The networks that find the lumen at the angiogram's own size, on disk: weights and card in one folder each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from monai_lora_sam.adapters import load_tensors, tensors_fingerprint, verify_folder, write_folder
from monai_lora_sam.coronary.networks import LumenGauge, LumenRefiner
from monai_lora_sam.coronary.stages.shipped import SHIPPED_GAUGE, SHIPPED_LUMEN
from monai_lora_sam.files import atomic_folder

WEIGHTS = "network.safetensors"
TASKS = {LumenRefiner: "lumen", LumenGauge: "gauge"}

Network = TypeVar("Network", LumenRefiner, LumenGauge)


def save_lumen_network(
    network: LumenRefiner | LumenGauge,
    folder: str | Path,
    *,
    metrics: dict[str, Any] | None = None,
    modality: str = "XA",
    version: str = "1",
    **more: Any,
) -> Path:
    """Write a refiner or a gauge into ``folder``, atomically.

    Args:
        network: whose weights are written.
        folder: replaced as a whole if it exists.
        metrics: scores to write into the card.
        modality: DICOM's term: ``XA`` for X-ray angiography.
        version: of these weights.
        more: further entries of the card.

    Returns:
        The folder.

    Raises:
        ValueError: if a weight is NaN or infinite.
    """
    state = network.state_dict()
    card = {
        **more,
        "name": TASKS[type(network)],
        "task": TASKS[type(network)],
        "class_names": ["vessel"],
        "metrics": metrics or {},
        "modality": modality,
        "version": version,
        "network": network.config,
        "fingerprint": tensors_fingerprint(state),
        # No part of any encoder: both read the angiogram itself, and any stage's map.
        "encoder": {},
        "parents": [],
        "strategy": "frozen",
        "modules": [],
    }
    with atomic_folder(folder) as temporary:
        write_folder(temporary, card, {WEIGHTS: state}, None)
    return Path(folder)


def load_lumen_refiner(folder: str | Path = SHIPPED_LUMEN, *, mixed_precision: bool = True) -> LumenRefiner:
    """Read a refiner, ready to run; its card is its attribute ``card``.

    Args:
        folder: what :func:`save_lumen_network` wrote; by default the one that comes with the package.
        mixed_precision: see :class:`monai_lora_sam.coronary.networks.LumenRefiner`.

    Raises:
        FileNotFoundError: if the folder or a file of it is missing.
        ValueError: if a file is damaged, or the folder holds something else; what was expected and what was
            found are named.

    Example:
        >>> refiner = load_lumen_refiner()  # doctest: +SKIP
    """
    return _load(LumenRefiner, "a lumen refiner", folder, mixed_precision)


def load_lumen_gauge(folder: str | Path = SHIPPED_GAUGE, *, mixed_precision: bool = True) -> LumenGauge:
    """Read a gauge, ready to run: as :func:`load_lumen_refiner`.

    Example:
        >>> gauge = load_lumen_gauge()  # doctest: +SKIP
    """
    return _load(LumenGauge, "a lumen gauge", folder, mixed_precision)


def _load(kind: type[Network], words: str, folder: str | Path, mixed_precision: bool) -> Network:
    card = verify_folder(folder)
    expected = card.get("task") == TASKS[kind] and WEIGHTS in card["files"]
    if not expected or not isinstance(card.get("network"), dict):
        raise ValueError(f"{folder}: expected {words}, found task {card.get('task')!r}")
    try:
        network = kind(**card["network"], mixed_precision=mixed_precision)
        network.load_state_dict(load_tensors(folder, WEIGHTS))
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{folder}: expected weights of {card['network']}, found others: {error}") from error
    network.card = card
    return network.requires_grad_(False).eval()
