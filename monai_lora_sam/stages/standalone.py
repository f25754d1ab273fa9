"""Save and load networks without an encoder: weights and card in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import nn

from monai_lora_sam.adapters import open_adapter, tensors_fingerprint, write_folder
from monai_lora_sam.encoders import build_checked
from monai_lora_sam.files import atomic_folder

WEIGHTS = "network.safetensors"

Loaded = TypeVar("Loaded", bound=nn.Module)


class ConfiguredNetwork(Protocol):
    """A network that can be built again from its `config`."""

    @property
    def config(self) -> dict[str, Any]: ...

    def state_dict(self) -> dict[str, Any]: ...


def save_network(
    network: ConfiguredNetwork,
    folder: str | Path,
    *,
    task: str,
    class_names: Sequence[str] = (),
    metrics: dict[str, Any] | None = None,
    modality: str = "",
    version: str = "1",
    **more: Any,
) -> Path:
    """Write a network without an encoder into ``folder``, atomically.

    Args:
        network: a network whose `config` holds the arguments that build it again, as JSON.
        folder: replaced as a whole if it exists.
        task: of the network; :func:`load_network` asks for it.
        class_names: of the maps that the network returns.
        metrics: scores to write into the card.
        modality: DICOM's term, such as ``CT``; "" where unknown.
        version: of these weights.
        more: further entries of the card.

    Returns:
        The folder.

    Raises:
        ValueError: if a weight is NaN or infinite.

    Example:
        >>> save_network(EdgeRefiner(), "models/refiner", task="edges")  # doctest: +SKIP
    """
    state = network.state_dict()
    card = {
        **more,
        "name": task,
        "task": task,
        "class_names": list(class_names),
        "metrics": metrics or {},
        "modality": modality,
        "version": version,
        "network": network.config,
        "fingerprint": tensors_fingerprint(state),
        # Entries that every card has; this network belongs to no encoder.
        "encoder": {},
        "parents": [],
        "strategy": "frozen",
        "modules": [],
    }
    with atomic_folder(folder) as temporary:
        write_folder(temporary, card, {WEIGHTS: state}, None)
    return Path(folder)


def load_network(cls: type[Loaded], folder: str | Path, *, task: str, mixed_precision: bool = True) -> Loaded:
    """Read a network without an encoder, ready to run; its attribute `card` holds its card.

    Args:
        cls: class of the network, built from the card's configuration and `mixed_precision`.
        folder: a folder that :func:`save_network` wrote.
        task: that the card has to name.
        mixed_precision: run in bfloat16 autocast.

    Raises:
        FileNotFoundError: if the folder or a file of it is missing.
        ValueError: if a file is damaged, or the folder holds another task or other weights; expected and found
            are named.

    Example:
        >>> refiner = load_network(EdgeRefiner, "models/refiner", task="edges")  # doctest: +SKIP
    """
    saved = open_adapter(folder)
    card, arguments = saved.card, saved.card.get("network")
    if card.get("task") != task or WEIGHTS not in saved.contents or not isinstance(arguments, dict):
        raise ValueError(
            f"{folder}: expected a network of task {task!r}, found task {card.get('task')!r:.80}"
        )
    state = saved.tensors(WEIGHTS)
    if (found := tensors_fingerprint(state)) != card["fingerprint"]:
        raise ValueError(
            f"{folder}: expected weights of fingerprint {card['fingerprint']:.64}, found {found}"
        )
    network = build_checked(lambda: cls(**arguments, mixed_precision=mixed_precision), arguments, folder)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{folder}: expected weights of {arguments}, found others: {reason:.300}") from error
    network.card = card  # type: ignore[assignment]  # a plain attribute, no parameter
    return network.requires_grad_(False).eval()
