"""An encoder with adapters, and SAM's prompt encoder and mask decoder on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.utils import convert_to_tensor
from torch import Tensor, nn
from torch.nn import functional

from monai_lora_sam.adapters import AdapterStack, apply_strategy, open_adapter
from monai_lora_sam.encoders import ENCODERS, EncoderEntry, build_encoder
from monai_lora_sam.networks.check_prompts import check_prompts
from monai_lora_sam.networks.heads import HeadEntry
from monai_lora_sam.networks.prompt_head import PromptHead
from monai_lora_sam.networks.prompt_weights import DecoderSource, open_prompt_weights, write_promptable
from monai_lora_sam.networks.stage_network import StageNetwork


class ImageEmbedding(NamedTuple):
    """Hold the features of a batch of images, for any number of prompts.

    Attributes:
        features: (B, 256, h, w), of the images scaled and padded to a square.
        size: height and width of the images.
    """

    features: Tensor
    size: tuple[int, int]


class PromptedMasks(NamedTuple):
    """Hold masks for prompts.

    Attributes:
        logits: (B, N, M, H, W), N prompts with M masks each, at the images' size.
        iou: (B, N, M), the predicted intersection over union of each mask.
        presence: (B, N), logit of the phrase's object being in the image at all; None for prompts without words.
    """

    logits: Tensor
    iou: Tensor
    presence: Tensor | None = None

    @property
    def best(self) -> Tensor:
        """The mask (B, N, H, W) of each prompt with the highest predicted intersection over union."""
        chosen = self.iou.argmax(2)[..., None, None, None].expand(-1, -1, 1, *self.logits.shape[-2:])
        return self.logits.gather(2, chosen)[:, :, 0]


class PromptableSegmenter(StageNetwork):
    """Segment the objects that points, boxes or earlier masks show, as Segment Anything does.

    An image of another size than the encoder's is scaled until its longest side has that size, and padded right
    and below with zeros to a square. For an encoder that reads each image in its own range (LiteMedSAM) pixels are
    averaged by area, as its authors do, and the scaled image's minimum and maximum become 0 and 1. Prompts are in
    pixels of the image as it is given.

    Args:
        stack: encoder with adapters.
        head: prompt encoder and mask decoder.
        adapters: names of the adapters that are summed for this network; none for the bare encoder.
        strategy, name, mixed_precision: see :class:`StageNetwork`; the head runs in float32.

    Shapes:
        image: (B, 3, H, W), normalised for the encoder; N prompts an image of K points each as (x, y): points
        (B, N, K, 2); point_labels (B, N, K), 1 foreground, 0 background, -1 none; boxes (B, N, 4) as
        (x0, y0, x1, y1); masks (B, N, H, W), logits of an earlier answer.

    Raises:
        ValueError: no prompt, a prompt of another shape, not finite or outside the image, a box with
            x1 <= x0 or y1 <= y0, or an image that is not finite.

    Example:
        >>> network = build_promptable("medsam_lite")  # doctest: +SKIP
        >>> masks = network(image, boxes=torch.tensor([[[40, 30, 120, 90]]]))  # doctest: +SKIP
        >>> masks.logits.shape  # doctest: +SKIP
        torch.Size([1, 1, 1, 512, 512])
    """

    @classmethod
    def new(  # type: ignore[override]
        cls,
        stack: AdapterStack,
        head: type[nn.Module],
        reads: Mapping[str, StageNetwork],
        *,
        name: str = "prompts",
        strategy: str = "lora",
        last_n: int = 2,
        lora: dict[str, Any] | None = None,
        mixed_precision: bool = True,
        pretrained: bool | str | Path = True,
        decoder: str = "full",
        decoder_lora: dict[str, Any] | None = None,
        prompts: Sequence[str] | None = None,
    ) -> PromptableSegmenter:
        """Put a prompt encoder and a mask decoder on a stack.

        Args:
            stack, head, reads, name, strategy, last_n, lora, mixed_precision: see
                :func:`monai_lora_sam.networks.build_segmenter`.
            pretrained: where the weights of the prompt encoder and the mask decoder are; True for the encoder's own.
            decoder: trains the mask decoder and the prompt encoder (``full``), LoRA adapters in the mask decoder
                (``lora``), or neither (``frozen``).
            decoder_lora: ``r``, ``alpha`` and ``dropout`` of these adapters.
            prompts: kinds of prompts that training will draw, for the card; by default those of the weights.
        """
        parents = tuple(stack.active)
        apply_strategy(stack, strategy, name, last_n=last_n, **(lora or {}))
        entry: EncoderEntry = ENCODERS.load(stack.encoder.name)
        weights = open_prompt_weights(stack.encoder.name, pretrained) if pretrained else None
        fresh: Any = head(
            channels=stack.encoder.channels,
            prompts=prompts or (weights.prompts if weights else entry.prompts),
            trains=decoder,
            lora=decoder_lora,
            base=weights.fingerprint if weights else None,
        )
        if weights:
            fresh.load_weights(weights.checkpoint)
        adapters = (*parents, name) if strategy == "lora" else parents
        return cls(stack, fresh, adapters, strategy, name, mixed_precision)

    @classmethod
    def join(  # type: ignore[override]
        cls, stack: AdapterStack, head: nn.Module, reads: Mapping[str, StageNetwork], **arguments: Any
    ) -> PromptableSegmenter:
        """Put a trained head back on the stack that it was trained on."""
        return cls(stack, head, **arguments)

    @classmethod
    def from_pretrained(cls, folder: str | Path, mixed_precision: bool = True) -> PromptableSegmenter:
        """Load a network that :meth:`save_pretrained` wrote, in evaluation mode.

        Raises:
            FileNotFoundError: the folder, or the weights of the mask decoder that its card names, are missing.
            ValueError: a damaged or changed file, or another mask decoder than the one that the card names.

        Example:
            >>> student = PromptableSegmenter.from_pretrained("models/student/best")  # doctest: +SKIP
        """
        card = open_adapter(folder).card  # every file is checked
        if "decoder" not in card:
            raise ValueError(f"{folder}: expected a promptable network, found the adapter {card['name']!r}")
        return build_promptable(card["encoder"]["name"], folder, card["input_size"], mixed_precision)

    def save_pretrained(
        self, folder: str | Path, decoder: DecoderSource | None = None, half: bool = False, **card: Any
    ) -> Path:
        """Save a network without adapters: ``config.json``, ``model.safetensors`` and ``card.json``.

        ``build_encoder(name, FOLDER)`` reads its encoder, ``build_promptable(name, FOLDER)`` all of it.

        Args:
            folder: replaced as a whole.
            decoder: the encoder whose prompt encoder and mask decoder the network has; they are not written, and read
                from there again. None writes them into the folder.
            half: write matrices and convolutions in float16.
            card: further entries of the card.

        Raises:
            ValueError: adapters are on the encoder, or a weight that is not finite or beyond float16's range.
        """
        return write_promptable(self, folder, decoder, half, card)

    def encode(self, image: Tensor) -> ImageEmbedding:
        """Compute the embedding of images once, for any number of prompts."""
        image = convert_to_tensor(image, track_meta=False)
        if not image.isfinite().all():
            raise ValueError("image: expected finite intensities, found NaN or infinity")
        height, width = image.shape[-2:]
        return ImageEmbedding(self.read(image), (height, width))

    def read(self, image: Tensor, **conditions: Tensor | None) -> Tensor:
        """Return the last level of the encoder's pyramid for images scaled and padded to its square."""
        return self.embed(self.prepare(convert_to_tensor(image, track_meta=False)))

    def embed(self, square: Tensor) -> Tensor:
        """Return the last level of the encoder's pyramid for what :meth:`prepare` returned."""
        if tuple(self.stack.active) != self.adapters:
            self.stack.activate(*self.adapters)
        with self.autocast(square.device):
            return self.stack(square)[-1].float()

    @property
    def read_settings(self) -> dict[str, str]:
        return {"reads": "embedding", "side": str(self.stack.encoder.image_size)}

    def decode(
        self,
        embedding: ImageEmbedding,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        multimask: bool = False,
    ) -> PromptedMasks:
        """Return the masks for prompts on images that were encoded; arguments as of the network."""
        batch, (height, width) = embedding.features.shape[0], embedding.size
        check_prompts(batch, height, width, points, point_labels, boxes, masks)
        return self._ask_head(embedding, points, point_labels, boxes, masks, multimask)

    def _ask_head(
        self,
        embedding: ImageEmbedding,
        points: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        multimask: bool,
        **more: Any,
    ) -> PromptedMasks:
        """Ask the head by prompts that were checked, in pixels of the image, and by ``more`` that only it knows."""
        features, (height, width) = embedding
        side, (rows, columns) = self.stack.encoder.image_size, self._scaled(height, width)
        scale = torch.tensor([columns / width, rows / height], device=features.device)
        grid = [4 * count for count in features.shape[-2:]]
        logits, *scores = self.head(
            features,
            side,
            points=None if points is None else points * scale,
            point_labels=point_labels,
            boxes=None if boxes is None else boxes * scale.repeat(2),
            masks=None if masks is None else resize(self._to_square(masks), grid),
            multimask=multimask,
            **more,
        )
        whole = resize(logits.flatten(0, 1), [side, side])[..., :rows, :columns]
        return PromptedMasks(resize(whole, [height, width]).unflatten(0, logits.shape[:2]), *scores)

    def forward(
        self,
        image: Tensor,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        multimask: bool = False,
    ) -> PromptedMasks:
        return self.decode(self.encode(image), points, point_labels, boxes, masks, multimask)

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of an image whose longest side becomes the encoder's."""
        scale = self.stack.encoder.image_size / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def prepare(self, image: Tensor) -> Tensor:
        """Scale normalised images and pad them to the encoder's square; bring each into its own range if wanted."""
        encoder = self.stack.encoder
        if not encoder.own_range:
            return self._to_square(image)
        # The range is that of the intensities as they were before mean and deviation, which may differ by channel.
        mean, std = (
            image.new_tensor(values)[:, None, None] for values in (encoder.pixel_mean, encoder.pixel_std)
        )
        image = image * std + mean
        small = resize_by_area(image, list(self._scaled(*image.shape[-2:])))
        low, high = small.amin((1, 2, 3), keepdim=True), small.amax((1, 2, 3), keepdim=True)
        # Rounding leaves a span of 1e-7 in an image of one grey, which becomes 0 and not noise.
        flat = high - low <= 1e-5 * torch.maximum(low.abs(), high.abs())
        in_range = (small - low) / (high - low).masked_fill(flat, torch.inf)
        return self._to_square((in_range - mean) / std)

    def _to_square(self, image: Tensor) -> Tensor:
        rows, columns = self._scaled(*image.shape[-2:])
        side = self.stack.encoder.image_size
        return functional.pad(resize(image, [rows, columns]), (0, side - columns, 0, side - rows))


def resize(image: Tensor, size: list[int]) -> Tensor:
    """Resize (B, C, H, W) bilinearly, smoothing where it shrinks; an image of that size stays as it is."""
    if list(image.shape[-2:]) == size:
        return image
    return functional.interpolate(image.float(), size, mode="bilinear", align_corners=False, antialias=True)


def resize_by_area(image: Tensor, size: list[int]) -> Tensor:
    """Resize (B, C, H, W): each new pixel is the mean of the area that it covers, as in OpenCV's ``INTER_AREA``.

    PyTorch's mode "area" takes whole pixels alone, so that new pixels cover unequal areas.
    """
    if list(image.shape[-2:]) == size:
        return image
    down, across = (
        _shares(old, new).to(image.device) for old, new in zip(image.shape[-2:], size, strict=True)
    )
    return down @ image.float() @ across.T


def _shares(old: int, new: int) -> Tensor:
    """Return (new, old): the share of each old pixel of a line in each new one."""
    edges = torch.arange(new + 1, dtype=torch.float64)[:, None] * old / new
    pixels = torch.arange(old, dtype=torch.float64)
    covered = torch.minimum(edges[1:], pixels + 1) - torch.maximum(edges[:-1], pixels)
    return (covered.clamp(min=0) * new / old).float()


def build_promptable(
    encoder: str = "medsam_lite",
    pretrained: bool | str | Path = True,
    image_size: int | None = None,
    mixed_precision: bool = True,
    quantise: str | None = None,
) -> PromptableSegmenter:
    """Build a Segment-Anything model without adapters: encoder, prompt encoder and mask decoder of one checkpoint.

    Args:
        encoder: name of the encoder.
        pretrained: True for the encoder's own weights, or where others are; False for random ones.
        image_size: side in pixels of the square that images are scaled into; by default that of the weights.
        mixed_precision: run the encoder in bfloat16 autocast.
        quantise: ``"nf4"`` for an encoder whose linear layers have 4-bit weights.

    Returns:
        The network in evaluation mode.

    Raises:
        ValueError, FileNotFoundError: see :func:`monai_lora_sam.encoders.build_encoder`.
    """
    stack = AdapterStack(build_encoder(encoder, pretrained, image_size, quantise=quantise))
    network = PromptableSegmenter.new(
        stack,
        PromptHead,
        {},
        strategy="frozen",
        mixed_precision=mixed_precision,
        pretrained=pretrained,
        decoder="frozen",
    )
    return network.eval()


#: The entry of SAM's prompt encoder and mask decoder.
PROMPTS = HeadEntry(PromptHead, PromptableSegmenter)
