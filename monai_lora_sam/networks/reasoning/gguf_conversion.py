"""Convert a language model from a GGUF file to safetensors, once."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from monai_lora_sam.files import atomic_folder

#: Environment variable with the folder of converted language models.
CACHE_VARIABLE = "MONAI_LORA_SAM_CACHE"
#: Of this conversion: another one gets a folder of its own.
_FORM = "1"


def cache_folder() -> Path:
    """Return the folder of converted language models: that of `MONAI_LORA_SAM_CACHE`, or one in the user's cache.

    Example:
        >>> cache_folder().name
        'language_models'
    """
    given = os.environ.get(CACHE_VARIABLE)
    root = (
        Path(given).expanduser()
        if given
        else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "monai_lora_sam"
    )
    return root / "language_models"


def converted(file: Path) -> Path:
    """Return the folder in transformers' form of a GGUF file; convert it if that was not done before.

    Weights become float32, which is exact. The folder is named by the file's SHA-256.

    Raises:
        ModuleNotFoundError: the package gguf is not installed.
        ValueError: no GGUF file, or an architecture that transformers does not read.

    Example:
        >>> converted(Path("SmolLM2-135M-Instruct.Q4_1.gguf"))  # doctest: +SKIP
        PosixPath('/home/user/.cache/monai_lora_sam/language_models/b179c9523d0e6a0f.1')
    """
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    folder = cache_folder() / f"{digest[:16]}.{_FORM}"
    if not folder.is_dir():
        _convert(file, folder)
    return folder


def _convert(file: Path, folder: Path) -> None:
    try:
        import gguf  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{file}: a GGUF file needs the package gguf: pip install 'monai-lora-sam[reasoning]'",
            name=error.name,
        ) from error
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    names: dict[str, Any] = {"gguf_file": file.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), **names)
        model = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=torch.float32, **names)
    except Exception as error:  # the readers end in many types
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{file}: expected a language model that transformers reads from GGUF, found {reason:.300}"
        ) from error
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    if config.get("tie_word_embeddings"):
        tensors.pop("lm_head.weight", None)
    with atomic_folder(folder) as temporary:
        save_file(tensors, temporary / "model.safetensors", metadata={"format": "pt"})
        (temporary / "config.json").write_text(json.dumps(config, indent=1, default=str))
        tokenizer.save_pretrained(temporary)
