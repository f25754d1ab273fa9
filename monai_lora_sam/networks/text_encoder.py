"""A sentence encoder (transformers' BERT, such as MiniLM) that is frozen or adapted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from monai_lora_sam.adapters import tensors_fingerprint
from monai_lora_sam.networks.own_state import take_base
from monai_lora_sam.networks.phrases import MOST_PHRASES, check_phrases
from monai_lora_sam.networks.text_files import TextEncoderFiles, open_text_encoder

#: Which weights of a sentence encoder train.
TEXT_STRATEGIES = ("frozen", "lora", "last_n")
#: Preset of LoRA targets → layers, the first preset being the usual one.
TEXT_TARGETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "qkv": ("query", "key", "value"),
        "qv": ("query", "value"),
        "all": ("query", "key", "value", "dense"),
    }
)
LORA = MappingProxyType({"r": 16, "alpha": 32, "dropout": 0.2, "targets": "qkv"})
_ADAPTER = "text"


class TextEncoder(nn.Module):
    """Turn phrases into sentence embeddings: the mean of the words' last hidden states, of length 1.

    This is the definition of sentence-transformers' MiniLM. The base is frozen and in evaluation mode; its dropout acts
    in blocks alone that train. Runs in float32. A fresh one has random weights: :meth:`load_base` reads the base's.

    Args:
        source: name, folder or Hugging Face id of the encoder; see :func:`open_text_encoder`.
        config: of the network, as transformers writes it; None reads it at the source.
        strategy: trains nothing (``frozen``), LoRA in all blocks (``lora``), or the last blocks (``last_n``).
        last_n: number of these blocks.
        lora: ``r``, ``alpha``, ``dropout`` and ``targets``: a preset of :data:`TEXT_TARGETS`, or names of layers.
        fingerprint: that the base's weights and vocabulary must have; None for those that come.

    Shapes:
        ids, mask: (N, T), of N phrases of up to T tokens, 1 where there is one. Returns (N, width).

    Raises:
        ValueError: a network other than BERT's, or an argument that does not fit.

    Example:
        >>> encoder = TextEncoder("minilm", strategy="lora")  # doctest: +SKIP
        >>> encoder(*encoder.tokenise(["left kidney"])).shape  # doctest: +SKIP
        torch.Size([1, 384])
    """

    def __init__(
        self,
        source: str,
        config: Mapping[str, Any] | None = None,
        strategy: str = "frozen",
        last_n: int = 3,
        lora: Mapping[str, Any] | None = None,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__()
        self._tokenizer: Tokenizer | None = None
        self.source, self.strategy, self.last_n, self.base = str(source), strategy, last_n, fingerprint
        self.network_config = dict(open_text_encoder(source).config if config is None else config)
        self.lora = {**LORA, **(lora or {})}
        if self.network_config.get("model_type") != "bert":
            raise ValueError(
                f"{source}: expected a sentence encoder of model_type 'bert', such as MiniLM, found "
                f"{self.network_config.get('model_type')!r:.80}"
            )
        if strategy not in TEXT_STRATEGIES:
            raise ValueError(f"strategy of the text: expected one of {TEXT_STRATEGIES}, found {strategy!r}")
        if set(self.lora) != set(LORA):
            raise ValueError(f"LoRA of the text: expected {tuple(LORA)}, found {tuple(self.lora)}")
        # Plain attention: adapters and exports see one form of it, and phrases are short.
        network = BertConfig.from_dict(self.network_config, attn_implementation="eager")  # type: ignore[call-arg]
        self.model = BertModel(network, add_pooling_layer=False).requires_grad_(False)
        self.blocks: nn.ModuleList = self.model.encoder.layer
        self.width: int = network.hidden_size
        self.longest: int = network.max_position_embeddings
        if strategy == "last_n":
            if type(last_n) is not int or not 1 <= last_n <= len(self.blocks):
                raise ValueError(
                    f"last_n of the text: expected 1 to {len(self.blocks)} blocks, found {last_n!r}"
                )
            self.blocks[-last_n:].requires_grad_(True)  # type: ignore[operator]
        if strategy == "lora":
            adapter = LoraConfig(
                r=self.lora["r"],
                lora_alpha=self.lora["alpha"],
                lora_dropout=self.lora["dropout"],
                target_modules=text_targets(self.lora["targets"]),
            )
            inject_adapter_in_model(adapter, self.model, _ADAPTER)
        self.train(self.training)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build this encoder again, as JSON holds them."""
        arguments: dict[str, Any] = {"source": self.source, "config": self.network_config}
        arguments |= {"strategy": self.strategy, "fingerprint": self.base}
        if self.strategy == "last_n":
            arguments["last_n"] = self.last_n
        return arguments | ({"lora": self.lora} if self.strategy == "lora" else {})

    def is_own(self, name: str) -> bool:
        """Return whether a tensor is trained, or the base's."""
        if self.strategy == "last_n":
            first = len(self.blocks) - self.last_n
            parts = name.removeprefix("model.encoder.layer.").split(".")
            return name.startswith("model.encoder.layer.") and int(parts[0]) >= first
        return "lora_" in name

    def load_base(self, overwrite: bool = False) -> None:
        """Read the base's weights at the source; blocks that train keep theirs unless ``overwrite`` is set.

        Raises:
            ValueError: weights that do not fit the network, or others than those of the fingerprint.
        """
        files = open_text_encoder(self.source)
        found = tensors_fingerprint(files.tensors, hashlib.sha256(files.tokenizer.encode()).hexdigest())
        if self.base not in (None, found):
            raise ValueError(
                f"{files.source}: expected the sentence encoder {self.base}, which the adapter was trained on, found "
                f"{found}"
            )
        named = (
            (name.removeprefix("model.").replace(".base_layer.", "."), name, tensor)
            for name, tensor in self.named_parameters()
            if "lora_" not in name
        )
        take_base(self, named, files.tensors, files.source, "the weights of its configuration", overwrite)
        self.base, self._tokenizer = found, _tokenizer(files)

    def tokenise(self, phrases: Sequence[str], limit: int | None = MOST_PHRASES) -> tuple[Tensor, Tensor]:
        """Return token ids and mask, both (N, T), of phrases that :func:`check_phrases` lets pass.

        Raises:
            ValueError: a phrase that is empty, in another script, longer than the encoder takes, or of unknown words.
        """
        plain = check_phrases(phrases, limit)
        if self._tokenizer is None:
            self._tokenizer = _tokenizer(open_text_encoder(self.source))
        coded = self._tokenizer.encode_batch(plain)
        for phrase, code in zip(plain, coded, strict=True):
            if sum(code.attention_mask) > self.longest:
                raise ValueError(
                    f"phrase {phrase!r:.60}…: expected up to {self.longest} tokens, as the encoder takes, found "
                    f"{sum(code.attention_mask)}"
                )
            if "[UNK]" in code.tokens:
                raise ValueError(
                    f"phrase {phrase!r:.80}: expected words of the encoder's vocabulary, found others"
                )
        device = self.model.embeddings.word_embeddings.weight.device
        return (
            torch.tensor([code.ids for code in coded], device=device),
            torch.tensor([code.attention_mask for code in coded], device=device),
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast(ids.device.type, enabled=False):
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weights = mask[..., None].float()
        return functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)

    def train(self, mode: bool = True) -> TextEncoder:
        super().train(False)
        self.training = mode
        if self.strategy == "last_n":
            self.blocks[-self.last_n :].train(mode)  # type: ignore[operator]
        for module in self.modules():
            if isinstance(module, LoraLayer):
                module.lora_dropout.train(mode)
        return self


def _tokenizer(files: TextEncoderFiles) -> Tokenizer:
    """Return the tokenizer, which fills up phrases to the longest and cuts none."""
    try:
        tokenizer = Tokenizer.from_str(files.tokenizer)
    except Exception as error:  # the library has one type for all
        raise ValueError(
            f"{files.source}: tokenizer.json: expected a tokenizer, found none: {error}"
        ) from error
    tokenizer.no_truncation()
    tokenizer.enable_padding(pad_id=int(files.config.get("pad_token_id") or 0))
    return tokenizer


def text_targets(targets: str | Sequence[str]) -> list[str]:
    """Return the names of the layers that LoRA adapts in a sentence encoder.

    Raises:
        ValueError: an unknown preset, or names that are no text.

    Example:
        >>> text_targets("qkv")
        ['query', 'key', 'value']
    """
    if isinstance(targets, str):
        if targets not in TEXT_TARGETS:
            raise ValueError(
                f"targets of the text: expected one of {list(TEXT_TARGETS)} or names of layers, found {targets!r}"
            )
        return list(TEXT_TARGETS[targets])
    names = list(targets)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"targets of the text: expected a preset or names of layers, found {targets!r}")
    return names
