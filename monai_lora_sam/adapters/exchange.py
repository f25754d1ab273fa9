"""Read and write adapters of the bare transformers model, as PEFT alone does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
from peft import LoraConfig
from torch import Tensor

from monai_lora_sam.adapters.card import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from monai_lora_sam.adapters.plain_lora import plain_lora_config
from monai_lora_sam.adapters.saved import open_adapter, parse_tensors, read_inside
from monai_lora_sam.adapters.stack import AdapterStack
from monai_lora_sam.adapters.store import save_config
from monai_lora_sam.encoders import ImageEncoder
from monai_lora_sam.files import atomic_folder, parse_json

#: PEFT's prefix of a parameter's name on a bare model, and that on the model inside an ``ImageEncoder``.
_BARE, _WRAPPED = "base_model.model.", "base_model.model.model."


def _read_peft(folder: str | Path) -> tuple[LoraConfig, dict[str, Tensor]]:
    """Read an adapter that PEFT alone wrote for a bare transformers model, under an encoder's names.

    Raises:
        FileNotFoundError: one of PEFT's two files is missing.
        ValueError: a damaged file, one of this package's own adapters, or more than plain LoRA.
    """
    for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (Path(folder) / file).is_file():
            found = sorted(path.name for path in Path(folder).iterdir()) if Path(folder).is_dir() else []
            raise FileNotFoundError(f"{folder}: expected {file}, as PEFT writes it, found {found}")
    folder = Path(folder)
    entries, weights = (read_inside(folder, file, folder) for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS))
    path = folder / ADAPTER_CONFIG
    config = plain_lora_config(parse_json(entries, path), path)
    tensors = parse_tensors(weights, folder / ADAPTER_WEIGHTS)
    foreign = [name for name in tensors if not name.startswith(_BARE) or name.startswith(_WRAPPED)]
    if foreign or not tensors:
        raise ValueError(
            f"{folder}: expected names of a bare transformers model ('{_BARE}...'), found {foreign[:3]}; an adapter "
            "of this package needs no import"
        )
    return config, {f"{_WRAPPED}{name.removeprefix(_BARE)}": tensor for name, tensor in tensors.items()}


def import_peft(
    folder: str | Path, encoder: ImageEncoder, out: str | Path, name: str | None = None
) -> dict[str, Any]:
    """Save an adapter that PEFT alone trained on the bare transformers model of an encoder; return its card.

    Args:
        folder: with PEFT's ``adapter_config.json`` and ``adapter_model.safetensors``.
        encoder: whose ``model`` is of the class that the adapter was trained on; it is wrapped in place.
        out: folder of the new adapter, see :meth:`AdapterStack.save`.
        name: of the new adapter; that of ``out`` if None.

    Raises:
        FileNotFoundError: one of PEFT's two files is missing.
        ValueError: a damaged file, another model, missing tensors, or more than plain LoRA.

    Example:
        >>> import_peft("peft_folder", build_encoder("sam_vit_b", True), "models/liver")  # doctest: +SKIP
    """
    name = Path(out).name if name is None else name
    config, tensors = _read_peft(folder)
    stack = AdapterStack(encoder)
    stack.add_trained(name, config, tensors, folder)
    return stack.save(name, out)


def export_peft(folder: str | Path, out: str | Path) -> list[str]:
    """Write a saved adapter so that PEFT alone loads it on the bare transformers model.

    Args:
        folder: of a LoRA adapter that :meth:`AdapterStack.save` wrote.
        out: folder for ``adapter_config.json`` and ``adapter_model.safetensors``; an earlier export is replaced.

    Returns:
        The names of its parents, which PEFT has to load beside it.

    Raises:
        FileExistsError: ``out`` holds other files.
        ValueError: a damaged folder, or one without a LoRA adapter.

    Example:
        >>> export_peft("models/liver", "for_peft")  # doctest: +SKIP
        []
    """
    saved = open_adapter(folder)
    card = saved.card
    if card["strategy"] != "lora":
        raise ValueError(f"{folder}: expected a LoRA adapter, found strategy {card['strategy']!r}")
    out = Path(out)
    others = (
        {path.name for path in out.iterdir()} - {ADAPTER_CONFIG, ADAPTER_WEIGHTS} if out.is_dir() else set()
    )
    if others:
        raise FileExistsError(f"{out}: expected an earlier export or no folder, found {sorted(others)[:5]}")
    tensors = saved.tensors(ADAPTER_WEIGHTS)
    renamed = {f"{_BARE}{name.removeprefix(_WRAPPED)}": tensor for name, tensor in tensors.items()}
    with atomic_folder(out) as temporary:
        save_config(saved.config(), temporary)
        (temporary / ADAPTER_WEIGHTS).write_bytes(safetensors.torch.save(renamed, metadata={"format": "pt"}))
    return [parent["name"] for parent in card["parents"]]
