"""SAM 3 without its image encoder as a head: words and example boxes to instances, frozen or adapted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers.models.sam3.configuration_sam3 import Sam3Config, Sam3VisionConfig
from transformers.models.sam3.modeling_sam3 import Sam3Model

from monai_lora_sam.adapters import tensors_fingerprint
from monai_lora_sam.encoders import weights_source
from monai_lora_sam.networks.concept_targets import DETECTOR_TARGETS, TEXT_TARGETS, concept_targets
from monai_lora_sam.networks.concept_weights import ConceptWeights, open_concept_weights
from monai_lora_sam.networks.own_state import leave_base_out, take_base
from monai_lora_sam.networks.phrases import MOST_PHRASES, check_phrases
from monai_lora_sam.networks.prompt_head import TRAINS
from monai_lora_sam.networks.text_encoder import TEXT_STRATEGIES

TEXT = MappingProxyType({"strategy": "frozen", "last_n": 3, "lora": None})
TEXT_LORA = MappingProxyType({"r": 16, "alpha": 32, "dropout": 0.2, "targets": "qkv"})
LORA = MappingProxyType({"r": 8, "alpha": 16, "dropout": 0.0, "targets": "detr"})
#: Parts that ``full`` leaves as they are: the text encoder has its own strategy, and no phrase reaches the boxes' one.
_NEVER_FULL = ("text_encoder.", "geometry_encoder.")


class ConceptHead(nn.Module):
    """Hold SAM 3's text encoder, geometry encoder, DETR and mask decoder, of which parts train (Carion et al., 2025).

    Its state holds the tensors that train; :meth:`load_base` reads the rest and the vocabulary. The base stays in
    evaluation mode.

    Args:
        config: of the detector, as :func:`open_concept_weights` returns it.
        trains: ``frozen``; ``lora`` in the layers of ``lora``'s targets; ``full`` for DETR, mask decoder and scores.
        lora: ``r``, ``alpha``, ``dropout`` and ``targets`` of the detector: a preset of :data:`DETECTOR_TARGETS`, or
            names of layers.
        text: ``strategy`` of the text encoder (``frozen``, ``lora`` in all blocks, ``last_n``), ``last_n``, and
            ``lora`` like the detector's, with the presets of :data:`TEXT_TARGETS`.
        base: fingerprint that the base's weights and vocabulary must have; None for those that come.

    Raises:
        ValueError: a configuration that is none, or an argument that is none of the possible ones.
    """

    head_type = "concepts"
    #: Kinds of prompts.
    prompts = ("phrases", "boxes")

    def __init__(
        self,
        config: Mapping[str, Any],
        trains: str = "frozen",
        lora: Mapping[str, Any] | None = None,
        text: Mapping[str, Any] | None = None,
        base: str | None = None,
    ) -> None:
        super().__init__()
        self.network_config, self.trains, self.base = dict(config), trains, base
        self.lora = {**LORA, **(lora or {})}
        self.text = {**TEXT, **(text or {})}
        text_lora = {**TEXT_LORA, **(self.text["lora"] or {})}
        for name, found, expected in (
            ("decoder", {trains}, TRAINS),
            ("LoRA of the decoder", self.lora, LORA),
            ("text", self.text, TEXT),
            ("strategy of the text", {self.text["strategy"]}, TEXT_STRATEGIES),
            ("LoRA of the text", text_lora, TEXT_LORA),
        ):
            if not set(found) <= set(expected):
                raise ValueError(
                    f"{name}: expected {' or '.join(expected)}, found {', '.join(map(str, found))}"
                )
        self.detector = new_detector(Sam3Config.from_dict(self.network_config)).requires_grad_(False)
        self.longest: int = self.network_config["text_config"]["max_position_embeddings"]
        blocks = len(self.detector.text_encoder.text_model.encoder.layers)
        self._tokenizer: Tokenizer | None = None
        self._whole: tuple[str, ...] = ()
        if self.text["strategy"] == "last_n":
            count = self.text["last_n"]
            if type(count) is not int or not 1 <= count <= blocks:
                raise ValueError(f"last_n of the text: expected 1 to {blocks} blocks, found {count!r}")
            self._whole = tuple(
                f"text_encoder.text_model.encoder.layers.{index}" for index in range(blocks - count, blocks)
            )
        if trains == "full":
            parts = [name for name, _ in self.detector.named_children()]
            self._whole += tuple(part for part in parts if f"{part}." not in _NEVER_FULL)
        for name in self._whole:
            self.detector.get_submodule(name).requires_grad_(True)
        # The whole first: PEFT activates each new adapter alone, in all layers below the module that it is given.
        if trains == "lora":
            self._adapt(self.detector, "detector", self.lora, DETECTOR_TARGETS)
        if self.text["strategy"] == "lora":
            self.text["lora"] = text_lora
            self._adapt(self.detector.text_encoder, "text", text_lora, TEXT_TARGETS)
        leave_base_out(self)
        self.train(self.training)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build this head again, as JSON holds them."""
        text: dict[str, Any] = {"strategy": self.text["strategy"]}
        if self.text["strategy"] != "frozen":
            key = "last_n" if self.text["strategy"] == "last_n" else "lora"
            text[key] = self.text[key]
        arguments = {"config": self.network_config, "trains": self.trains, "text": text, "base": self.base}
        return arguments | ({"lora": self.lora} if self.trains == "lora" else {})

    def is_own(self, name: str) -> bool:
        """Return whether a tensor is trained, or the base's."""
        inside = name.removeprefix("detector.")
        return "lora_" in name or any(inside.startswith(f"{part}.") for part in self._whole)

    def load_base(self, encoder: str, pretrained: bool | str | Path) -> None:
        """Read the weights that the head's state leaves out, and the vocabulary.

        Args:
            encoder: name of the image encoder.
            pretrained: where its weights are; True for its own.

        Raises:
            FileNotFoundError: no such weights, or no vocabulary beside them.
            ValueError: weights that do not fit, or others than those of the fingerprint.
        """
        if pretrained is False:
            raise ValueError(
                f"{encoder}: expected weights of SAM 3, which bring its vocabulary, found none (False)"
            )
        self.take(open_concept_weights(weights_source(encoder, pretrained)))

    def take(self, weights: ConceptWeights, overwrite: bool = False) -> None:
        """Take over weights and vocabulary; tensors that train keep theirs unless ``overwrite`` is set.

        Raises:
            ValueError: weights that do not fit, or others than those of the fingerprint.
        """
        found = tensors_fingerprint(
            {name: tensor.float() for name, tensor in weights.tensors.items()},
            hashlib.sha256(weights.tokenizer.encode()).hexdigest(),
        )
        if self.base not in (None, found):
            raise ValueError(
                f"{weights.source}: expected SAM 3's detector {self.base}, which the adapter was trained on, "
                f"found {found}"
            )
        named = (
            (name.removeprefix("detector.").replace(".base_layer.", "."), name, tensor)
            for name, tensor in (*self.named_parameters(), *self._saved_buffers())
            if "lora_" not in name
        )
        take_base(self, named, weights.tensors, weights.source, "the weights of SAM 3's detector", overwrite)
        self.base = found
        self._tokenizer = Tokenizer.from_str(weights.tokenizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def tokenise(self, phrases: Sequence[str], limit: int | None = MOST_PHRASES) -> tuple[Tensor, Tensor]:
        """Return token ids and mask, both (N, longest), of phrases that :func:`check_phrases` lets pass.

        Raises:
            ValueError: a phrase that is empty, in another script, or longer than the encoder takes.
        """
        assert self._tokenizer is not None  # load_base or take came before
        plain = check_phrases(phrases, limit)
        coded = self._tokenizer.encode_batch(plain)
        ids = torch.zeros(len(coded), self.longest, dtype=torch.long, device=self.detector.device)
        mask = torch.zeros_like(ids)
        for row, (phrase, code) in enumerate(zip(plain, coded, strict=True)):
            if len(code.ids) > self.longest:
                raise ValueError(
                    f"phrase {phrase!r:.60}…: expected up to {self.longest} tokens, as the encoder takes, found "
                    f"{len(code.ids)}"
                )
            ids[row, : len(code.ids)] = torch.tensor(code.ids)
            mask[row, : len(code.ids)] = 1
        return ids, mask

    def train(self, mode: bool = True) -> ConceptHead:
        super().train(False)
        self.training = mode
        for name in self._whole:
            self.detector.get_submodule(name).train(mode)
        for module in self.modules():
            if isinstance(module, LoraLayer):
                module.lora_dropout.train(mode)
        return self

    def _adapt(
        self, module: nn.Module, part: str, lora: Mapping[str, Any], presets: Mapping[str, str]
    ) -> None:
        names = concept_targets(self.detector, lora["targets"], presets, part)
        above = "text_encoder." if part == "text" else ""
        adapter = LoraConfig(
            r=lora["r"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            target_modules=[name.removeprefix(above) for name in names],
        )
        inject_adapter_in_model(adapter, module, part)
        for name, parameter in self.detector.named_parameters():  # PEFT freezes all else
            inside = any(name.startswith(f"{whole}.") for whole in self._whole)
            parameter.requires_grad_("lora_" in name or inside)

    def _saved_buffers(self) -> list[tuple[str, Tensor]]:
        saved = self.detector.state_dict(keep_vars=True).keys()
        return [
            (f"detector.{name}", tensor) for name, tensor in self.detector.named_buffers() if name in saved
        ]


def new_detector(config: Sam3Config) -> Any:
    """Build SAM 3 with random weights and without its image encoder, which a stack holds.

    Example:
        >>> with torch.device("meta"):
        ...     detector = new_detector(Sam3Config())
        >>> round(sum(p.numel() for p in detector.parameters()) / 1e6)
        386
    """
    config = deepcopy(config)
    vision: Any = config.vision_config
    # A tiny encoder in the place of the large one, which would be built to be thrown away.
    config.vision_config = Sam3VisionConfig(
        fpn_hidden_size=vision.fpn_hidden_size,
        backbone_config={
            "model_type": "sam3_vit_model",
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "image_size": 28,
            "pretrain_image_size": 28,
            "window_size": 2,
            "global_attn_indexes": [0],
        },
    )
    with torch.no_grad():
        detector = Sam3Model(config)
    del detector.vision_encoder
    return detector
