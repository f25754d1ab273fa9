"""Find encoders by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from monai_lora_sam.encoders.base import ImageEncoder
from monai_lora_sam.encoders.installed_file import DownloadedFile, InstalledFile
from monai_lora_sam.registry import Registry

ENCODERS = Registry("monai_lora_sam.encoders", "encoder")


def same_name(name: str) -> str:
    """Return a name unchanged."""
    return name


def same_tensor(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Return a tensor unchanged, by its name."""
    return {name: tensor}


@dataclass(frozen=True)
class CheckpointForm:
    """Tell a form of checkpoint, and the encoder's names for its tensors.

    Attributes:
        mark: regular expression for the whole name of one tensor that only this form has. Its group ``prefix``
            matches the part before the encoder's own names, such as ``vision_encoder.``.
        rename: turns a name without the prefix into the name below ``ImageEncoder.model``, or into None where the
            encoder has no such tensor.
        fill: makes the tensors that this form lacks, under the encoder's names, from the encoder's configuration;
            always the same ones, so that the encoder's fingerprint is too. None where the form has them all.
        split: turns a renamed tensor into those that the encoder has for it, such as query, key and value that the form
            stores as one.
    """

    mark: str
    rename: Callable[[str], str | None] = same_name
    fill: Callable[[Any], Mapping[str, Tensor]] | None = None
    split: Callable[[str, Tensor], Mapping[str, Tensor]] = same_tensor


@dataclass(frozen=True)
class EncoderEntry:
    """Hold everything about a named encoder.

    A package offers an entry under the group ``monai_lora_sam.encoders``; its name there is the encoder's.

    Attributes:
        encoder: the class, whose arguments are a configuration, a name and an image size or None.
        config: makes the encoder's own configuration.
        weights: its own weights, for ``pretrained=True``: a file, a folder, a Hugging Face id, a file of an
            installed package or one that the user downloads.
        targets: names of the layers, relative to a block, that each preset of adapter targets adapts; the first
            preset is the usual one.
        forms: the forms of checkpoint that hold such an encoder; none where every tensor has the encoder's name.
        model_types: readers of ``config.json``, by its ``model_type``, or timm's ``architecture`` where there is none.
        infer_config: reads a configuration off the tensors where there is no ``config.json``, given the encoder's
            own. None takes the encoder's own.
        dimensions: width and depth of a configuration. They tell weights of one named encoder from those of
            another of the same class.
        imagenet: weights of the backbone alone from training on ImageNet, for ``pretrained="imagenet"``; None for an
            encoder whose own weights are such ones or that has no backbone.
        prompts: kinds of prompts that the prompt encoder and the mask decoder of its weights were trained with.

    Example:
        >>> ENCODERS.load("sam_vit_b").targets["mlp"]
        ('mlp.lin1', 'mlp.lin2')
    """

    encoder: type[ImageEncoder]
    config: Callable[[], Any]
    weights: str | Path | InstalledFile | DownloadedFile
    targets: Mapping[str, Sequence[str]]
    forms: tuple[CheckpointForm, ...] = ()
    model_types: Mapping[str, Callable[[dict[str, Any]], Any]] | None = None
    infer_config: Callable[[Mapping[str, Tensor], Any], Any] | None = None
    dimensions: Callable[[Any], tuple[int, ...]] | None = None
    imagenet: str | InstalledFile | None = None
    prompts: tuple[str, ...] = ("boxes", "points", "masks")

    @property
    def family(self) -> str:
        """Return the family of the encoder's class."""
        return self.encoder.family

    def build(self, name: str, image_size: int | None = None, config: Any = None) -> ImageEncoder:
        """Build the encoder with random weights.

        Args:
            name: that the encoder is to have.
            image_size: side in pixels that it is meant for; the configuration's if None.
            config: its configuration; the encoder's own if None.
        """
        config = self.config() if config is None else config
        return self.encoder(config, name, image_size)  # type: ignore[call-arg, misc, arg-type]
