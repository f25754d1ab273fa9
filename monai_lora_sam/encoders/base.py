"""The interface of every image encoder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

from monai_lora_sam.encoders.fingerprint import encoder_fingerprint

#: Gradient checkpointing whose checkpoints lie in the memory of the CPU.
OFFLOAD = "offload"


class ImageEncoder(nn.Module):
    """Turn an image into a pyramid of feature maps, finest first.

    A subclass sets ``family``, ``blocks`` and either ``begin`` and ``resume``, or ``encode`` alone. Modules below
    ``model`` keep the names of the library that they come from, to which the target names of adapters (``q_proj``,
    ``qkv``, ...) refer.

    Attributes:
        name: the name that :func:`build_encoder` was given.
        family: ``"sam3"``, ``"sam"``, ...; adapters of one family fit no other.
        image_size: side in pixels that the encoder is meant for; other valid sizes run too.
        patch_size: every side must be a multiple of it.
        strides: pixels of the image per pixel of each feature map, finest first. With a patch of 14, SAM 3's
            finest is 3.5.
        channels: channels of each feature map, finest first.
        pixel_mean, pixel_std: normalisation, for intensities from 0 to 1.
        own_range: each image's own minimum and maximum become 0 and 1 before mean and deviation are applied.
        quantisation: ``"nf4"`` where the linear layers have 4-bit weights, else None.

    Example:
        >>> encoder = build_encoder("tiny")
        >>> [tuple(level.shape[1:]) for level in encoder(torch.zeros(1, 3, 252, 252))]
        [(48, 72, 72), (48, 36, 36), (48, 18, 18), (48, 9, 9)]
    """

    model: nn.Module
    family: str

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        image_size: int,
        patch_size: int,
        strides: Sequence[float],
        channels: Sequence[int],
        pixel_mean: tuple[float, float, float],
        pixel_std: tuple[float, float, float],
        minimum_patches: int = 1,
        own_range: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.name = name
        self.patch_size = patch_size
        self.minimum_size = minimum_patches * patch_size
        self.strides = tuple(strides)
        self.channels = tuple(channels)
        self.pixel_mean = pixel_mean
        self.pixel_std = pixel_std
        self.own_range = own_range
        self.gradient_checkpointing: bool | str = False
        self.quantisation: str | None = None
        self.check_size(image_size, image_size)
        self.image_size = image_size
        self._fingerprint: str | None = None

    @property
    def blocks(self) -> nn.ModuleList:
        """Return the transformer blocks, first to last."""
        raise NotImplementedError

    def begin(self, image: Tensor, blocks: int) -> list[Tensor]:
        """Run the first blocks on an image whose size has been checked.

        Returns:
            The input of the next block, last, after the feature maps that are complete.
        """
        raise ValueError(f"{self.name}: expected an encoder that can stop between blocks")

    def resume(self, state: Sequence[Tensor], blocks: int) -> list[Tensor]:
        """Compute the feature maps from what :meth:`begin` returned for this number of blocks."""
        raise ValueError(f"{self.name}: expected an encoder that can stop between blocks")

    def encode(self, image: Tensor) -> list[Tensor]:
        """Compute the feature maps of an image whose size has been checked."""
        return self.resume(self.begin(image, 0), 0)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute the feature maps of normalised images.

        Args:
            image: (B, 3, H, W), floating point, already normalised with ``pixel_mean`` and ``pixel_std``.

        Returns:
            Feature maps (B, channels[i], about H / strides[i], about W / strides[i]), finest first.

        Raises:
            ValueError: the image is not (B, 3, H, W) or a side is not a multiple of the patch.
            TypeError: the image is not floating point.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"{self.name}: expected an image (B, 3, H, W), got shape {tuple(image.shape)}.")
        if not image.is_floating_point():
            raise TypeError(f"{self.name}: expected a normalised floating point image, got {image.dtype}.")
        self.check_size(image.shape[-2], image.shape[-1])
        return self.encode(image)

    def check_size(self, height: int, width: int) -> None:
        """Raise a ``ValueError`` that names the nearest valid sizes if a side does not fit the patch."""
        for side, found in (("height", height), ("width", width)):
            lower = found // self.patch_size * self.patch_size
            if found == lower and found >= self.minimum_size:
                continue
            nearest = sorted({max(size, self.minimum_size) for size in (lower, lower + self.patch_size)})
            raise ValueError(
                f"{self.name}: {side} {found} is not a size it can take: sides are multiples of "
                f"{self.patch_size} from {self.minimum_size} on; nearest: {' or '.join(map(str, nearest))}."
            )

    def enclosing_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the smallest valid size that holds an image of this size.

        Example:
            >>> build_encoder("tiny").enclosing_size(600, 800)
            (602, 812)
        """
        rows, columns = (
            max(-(-side // self.patch_size) * self.patch_size, self.minimum_size) for side in (height, width)
        )
        return rows, columns

    def set_gradient_checkpointing(self, enabled: bool | str) -> None:
        """Trade time for memory: keep only the input of each block, compute the rest again going backward.

        ``"offload"`` keeps these inputs in the memory of the CPU, too. Acts whenever gradients are enabled, in training
        and in evaluation mode alike, since a frozen base stays in evaluation mode while adapters on it are trained.

        Raises:
            ValueError: neither True, False nor ``"offload"``.
        """
        if enabled not in (True, False, OFFLOAD):
            raise ValueError(
                f"gradient checkpointing: expected True, False or {OFFLOAD!r}, found {enabled!r}"
            )
        self.gradient_checkpointing = enabled

    @staticmethod
    def offload() -> AbstractContextManager[Any]:
        """Return a context in which tensors that the backward pass needs wait in the memory of the CPU."""
        return save_on_cpu(pin_memory=torch.cuda.is_available())

    def run_block(self, block: nn.Module, hidden: Tensor) -> Any:
        """Run one block, under gradient checkpointing if it is switched on and gradients are wanted."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            with self.offload() if self.gradient_checkpointing == OFFLOAD else nullcontext():
                return checkpoint(block, hidden, use_reentrant=False)
        return block(hidden)

    def run_blocks(self, hidden: Tensor, start: int, stop: int) -> Tensor:
        """Run blocks, each as :meth:`run_block` does, from one up to, but not including, another."""
        for block in list(self.blocks)[start:stop]:
            hidden = self.run_block(block, hidden)
        return hidden

    @property
    def architecture(self) -> dict[str, Any]:
        """Return everything besides the weights that decides about the output, as JSON holds it.

        A subclass adds the entries of its configuration that the shapes of the weights do not tell, such as heads and
        windows; side of the images, precision and versions of libraries are none of them.
        """
        return {
            "family": self.family,
            "patch_size": self.patch_size,
            "strides": list(self.strides),
            "channels": list(self.channels),
            "pixel_mean": list(self.pixel_mean),
            "pixel_std": list(self.pixel_std),
        }

    @property
    def is_loaded_in_4bit(self) -> bool:
        """Whether the linear layers have 4-bit weights, under the name by which PEFT asks for it."""
        return self.quantisation is not None

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of all weights as they are in memory, with the scales of 4-bit ones."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.state_dict().values())

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the base, weights and architecture, as built or loaded, before any cast or adapter.

        That of an encoder in 4 bits is of the weights that were quantised.
        """
        if self._fingerprint is None or self._fingerprint.startswith("meta:"):
            self._fingerprint = encoder_fingerprint(self, self.architecture)
        return self._fingerprint

    def renew_fingerprint(self) -> str:
        """Take the fingerprint anew after the base itself was changed on purpose (pretrained, merged).

        Raises:
            ValueError: the weights are in 4 bits.
        """
        if self.quantisation is not None:
            raise ValueError(f"{self.name}: expected weights in full precision, found {self.quantisation}")
        self._fingerprint = encoder_fingerprint(self, self.architecture)
        return self._fingerprint
