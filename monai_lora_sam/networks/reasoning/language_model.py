"""A language model (transformers) with one more token, frozen or adapted, in full precision or in 4 bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.initialization import no_init_weights

from monai_lora_sam.encoders import quantise_linear_layers
from monai_lora_sam.networks.mixed_precision import cpu_computes_bfloat16
from monai_lora_sam.networks.own_state import take_base
from monai_lora_sam.networks.reasoning.conversation import Conversation
from monai_lora_sam.networks.reasoning.language_files import open_language_model
from monai_lora_sam.networks.reasoning.token_rows import ExtendedEmbedding, ExtendedOutput

#: Preset → whether LoRA trains, and how the linear layers of the base are quantised.
LANGUAGE_PRESETS: Mapping[str, tuple[bool, str | None]] = MappingProxyType(
    {"lora": (True, None), "nf4": (False, "nf4"), "nf4_lora": (True, "nf4"), "frozen": (False, None)}
)
#: Which rows of embedding and output layer train: those of the new token, or all.
ROWS = ("new", "all")
PRECISIONS = ("bfloat16", "float32")
#: LISA's adapters (Lai et al., 2024).
LORA = MappingProxyType({"r": 8, "alpha": 16, "dropout": 0.05, "targets": ("q_proj", "v_proj")})
_ADAPTER = "language"


class LanguageModel(nn.Module):
    """Read questions beside visual tokens and write answers, with the token `[SEG]` in the vocabulary.

    The base is frozen and in evaluation mode. Adapters, rows of the new token, and all rows where they train are in
    float32. A fresh one has no weights of the base: :meth:`load_base` reads them.

    Args:
        source: name, folder, GGUF file or Hugging Face id; see :func:`open_language_model`.
        preset: one of :data:`LANGUAGE_PRESETS`: LoRA in full precision, 4-bit base without LoRA, both, or neither.
        lora: ``r``, ``alpha``, ``dropout`` and ``targets``, names of layers.
        rows: ``new`` trains the rows of the new token in embedding and output layer; ``all`` trains every row.
        precision: of the frozen weights. bfloat16 becomes float32 where neither a GPU nor the CPU computes in it.
        fingerprint: that the base's weights and vocabulary must have; None for those that come.

    Raises:
        FileNotFoundError: see :func:`open_language_model`.
        ValueError: an argument that does not fit; a model without the layers that LoRA adapts, without a chat template,
            or whose vocabulary has `[SEG]`.

    Example:
        >>> model = LanguageModel("smollm2", "lora")  # doctest: +SKIP
        >>> model.load_base(overwrite=True)  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str,
        preset: str = "lora",
        lora: Mapping[str, Any] | None = None,
        rows: str = "new",
        precision: str = "bfloat16",
        fingerprint: str | None = None,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("preset", preset, tuple(LANGUAGE_PRESETS)),
            ("rows", rows, ROWS),
            ("precision", precision, PRECISIONS),
        ):
            if value not in known:
                raise ValueError(f"{name} of the language model: expected one of {known}, found {value!r}")
        self.source, self.preset, self.rows, self.precision = str(source), preset, rows, precision
        self.base, self.lora = fingerprint, {**LORA, **(lora or {})}
        if set(self.lora) != set(LORA):
            raise ValueError(f"LoRA of the language model: expected {tuple(LORA)}, found {tuple(self.lora)}")
        self.lora["targets"] = _targets(self.lora["targets"])
        files = open_language_model(source)
        self.conversation = Conversation(_tokenizer(files.folder), self.source)
        self.model = _empty_model(files.config, source, _dtype(precision))
        self._extend()
        if LANGUAGE_PRESETS[preset][0]:
            self._adapt()
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(self.is_own(name))
        self.train(self.training)

    def _extend(self) -> None:
        embedding, output = self.model.get_input_embeddings(), self.model.get_output_embeddings()
        self.width: int = embedding.embedding_dim
        #: Id of the new token.
        self.token: int = embedding.num_embeddings
        self.conversation.token = self.token
        self.model.set_input_embeddings(ExtendedEmbedding(embedding))
        self.model.set_output_embeddings(ExtendedOutput(output))
        if self.rows == "all":
            for layer in (embedding, output):
                layer.float()

    def _adapt(self) -> None:
        adapter = LoraConfig(
            r=self.lora["r"],
            lora_alpha=self.lora["alpha"],
            lora_dropout=self.lora["dropout"],
            target_modules=self.lora["targets"],
        )
        try:
            inject_adapter_in_model(adapter, self.model, _ADAPTER)
        except ValueError as error:
            raise ValueError(
                f"{self.source}: expected the layers {self.lora['targets']} to adapt, found none: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        for name, parameter in self.model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build this model again, as JSON holds them."""
        arguments: dict[str, Any] = {"source": self.source, "preset": self.preset, "rows": self.rows}
        arguments |= {"precision": self.precision, "fingerprint": self.base}
        return arguments | ({"lora": self.lora} if LANGUAGE_PRESETS[self.preset][0] else {})

    def is_own(self, name: str) -> bool:
        """Return whether a tensor is trained, or the base's."""
        if "lora_" in name or name.endswith(".rows"):
            return True
        if self.rows == "new":
            return False
        layers = self._extended()[: 1 if self.model.config.tie_word_embeddings else 2]
        return name in [f"{layer}.base.weight" for layer in layers]

    def _extended(self) -> list[str]:
        """Return the names of the embedding and of the output layer."""
        kinds = (ExtendedEmbedding, ExtendedOutput)
        return [name for kind in kinds for name, module in self.named_modules() if isinstance(module, kind)]

    def load_base(self, overwrite: bool = False) -> None:
        """Read the base's weights at the source, and quantise them if the preset says so.

        Args:
            overwrite: start the new token's rows, and all rows where they train, from the base; else they stay.

        Raises:
            ValueError: weights that do not fit the model, or others than those of the fingerprint.
        """
        files = open_language_model(self.source)
        tensors = files.tensors()
        found = files.fingerprint(tensors)
        if self.base not in (None, found):
            raise ValueError(
                f"{files.source}: expected the language model {self.base}, which the adapter was trained on, found "
                f"{found}"
            )
        if self.model.config.tie_word_embeddings:
            tensors.pop("lm_head.weight", None)
        named = (
            (name.removeprefix("model.").replace(".base_layer.", ".").replace(".base.", "."), name, tensor)
            for name, tensor in self.named_parameters()
            if "lora_" not in name and not name.endswith(".rows")
        )
        take_base(self, named, tensors, files.source, "the weights of its configuration", overwrite)
        if overwrite:
            with torch.no_grad():
                for name in self._extended():
                    layer: Any = self.get_submodule(name)
                    layer.rows.copy_(layer.base.weight.float().mean(0))
        if LANGUAGE_PRESETS[self.preset][1]:
            output = self._extended()[1].removeprefix("model.")
            quantise_linear_layers(self.model, lambda name: "lora_" in name or name.startswith(f"{output}."))
        self.base = found

    def embed(self, ids: Tensor) -> Tensor:
        """Return the embeddings (..., width) of tokens."""
        return self.model.get_input_embeddings()(ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (..., V + 1) of the next token, float32."""
        return self.model.get_output_embeddings()(hidden)

    def forward(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return the last hidden states (P, T, width) of embeddings (P, T, width), where mask (P, T) is 1."""
        places = (mask.long().cumsum(1) - 1).clamp_min(0)
        with torch.autocast(embeddings.device.type, enabled=False):
            return self.model.base_model(
                inputs_embeds=embeddings, attention_mask=mask, position_ids=places, use_cache=False
            ).last_hidden_state

    @torch.no_grad()
    def generate(
        self, embeddings: Tensor, mask: Tensor, most_tokens: int, temperature: float = 0.0
    ) -> Tensor:
        """Return the tokens (P, T) of answers, filled up with the end token.

        Args:
            embeddings, mask: of the prompts, each of which ends at the last place.
            most_tokens: of an answer.
            temperature: of sampling; 0 takes the likeliest token each time.
        """
        end = self.conversation.end
        how = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        with torch.autocast(embeddings.device.type, enabled=False):
            return self.model.generate(
                inputs_embeds=embeddings,
                attention_mask=mask,
                max_new_tokens=most_tokens,
                eos_token_id=end,
                pad_token_id=end,
                **how,
            )

    def train(self, mode: bool = True) -> LanguageModel:
        super().train(False)
        self.training = mode
        for module in self.modules():
            if isinstance(module, LoraLayer):
                module.lora_dropout.train(mode)
        return self


def _empty_model(config: Mapping[str, Any], source: str, dtype: torch.dtype) -> Any:
    """Build a model of a configuration without spending time on random weights."""
    arguments = {name: value for name, value in config.items() if name != "quantization_config"}
    try:
        kind = arguments.pop("model_type")
        known = AutoConfig.for_model(kind, **arguments)
        return _build(known, dtype)
    except Exception as error:  # a stranger's arguments end in almost any type
        raise ValueError(
            f"{source}: expected the configuration of a causal language model of transformers, found "
            f"{' '.join(str(error).split())[:200]}"
        ) from error


def _build(config: Any, dtype: torch.dtype) -> Any:
    with no_init_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.tie_weights()
    return model.eval()


def _tokenizer(folder: Any) -> Any:
    return AutoTokenizer.from_pretrained(str(folder))


def _dtype(precision: str) -> torch.dtype:
    fast = torch.cuda.is_available() or cpu_computes_bfloat16()
    return torch.bfloat16 if precision == "bfloat16" and fast else torch.float32


def _targets(targets: Sequence[str]) -> list[str]:
    names = [targets] if isinstance(targets, str) else list(targets)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            f"targets of the language model: expected names of layers, such as q_proj, found {targets!r:.80}"
        )
    return names
