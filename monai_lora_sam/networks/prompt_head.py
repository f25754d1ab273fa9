"""SAM's prompt encoder and mask decoder (transformers' modules) as a head, for embeddings of any size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers.models.sam.configuration_sam import SamConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPromptEncoder

from monai_lora_sam.adapters import tensors_fingerprint
from monai_lora_sam.encoders import Checkpoint
from monai_lora_sam.networks.own_state import leave_base_out
from monai_lora_sam.networks.prompt_weights import open_prompt_weights

#: Channels of the embedding that SAM's decoder reads.
CHANNELS = 256
#: Kinds of prompts.
KINDS = ("boxes", "points", "masks")
#: What of the head is trained: all of it, LoRA adapters in the mask decoder, or nothing.
TRAINS = ("full", "lora", "frozen")
#: Layers of the mask decoder that LoRA adapts: the attention and the perceptrons of its transformer.
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj", "lin1", "lin2"]
_POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"
#: Names of Meta's, MobileSAM's and LiteMedSAM's files on the left, names below `PromptHead` on the right.
_ORIGINAL_NAMES = {
    r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$": _POSITIONS,
    r"^prompt_encoder\.point_embeddings\.": "prompt_encoder.point_embed.",
    r"^prompt_encoder\.mask_downscaling\.0\.": "prompt_encoder.mask_embed.conv1.",
    r"^prompt_encoder\.mask_downscaling\.1\.": "prompt_encoder.mask_embed.layer_norm1.",
    r"^prompt_encoder\.mask_downscaling\.3\.": "prompt_encoder.mask_embed.conv2.",
    r"^prompt_encoder\.mask_downscaling\.4\.": "prompt_encoder.mask_embed.layer_norm2.",
    r"^prompt_encoder\.mask_downscaling\.6\.": "prompt_encoder.mask_embed.conv3.",
    r"\.norm_final_attn\.": ".layer_norm_final_attn.",
    r"\.norm(\d)\.": r".layer_norm\1.",
    r"\.output_upscaling\.0\.": ".upscale_conv1.",
    r"\.output_upscaling\.1\.": ".upscale_layer_norm.",
    r"\.output_upscaling\.3\.": ".upscale_conv2.",
    r"(_head|_mlps\.\d)\.layers\.0\.": r"\1.proj_in.",
    r"(_head|_mlps\.\d)\.layers\.1\.": r"\1.layers.0.",
    r"(_head|_mlps\.\d)\.layers\.2\.": r"\1.proj_out.",
}


class PromptHead(nn.Module):
    """Turn an embedding and prompts into masks, as Segment Anything does (Kirillov et al., 2023).

    Runs in float32: coordinates lose pixels in bfloat16.

    Args:
        channels: of the encoder's pyramid, finest first; the last level is read, which has 256.
        prompts: kinds of prompts that it was trained with, of ``boxes``, ``points`` and ``masks``.
        trains: ``full`` trains all of it; ``lora`` adapters in the mask decoder; ``frozen`` nothing. Under the last two
            its state holds the adapters alone: the rest is the base's (:meth:`load_weights`).
        lora: ``r``, ``alpha`` and ``dropout`` of these adapters (8, 16, 0).
        base: fingerprint that the base's weights must have; None for those that come.

    Shapes:
        embedding: (B, 256, h, w) of a padded image of ``side`` pixels; N prompts an image with K points each, all in
        pixels of that image as (x, y): points (B, N, K, 2), point_labels (B, N, K) with 1 for foreground, 0 for
        background, -1 for none; boxes (B, N, 4) as (x0, y0, x1, y1); masks (B, N, 4h, 4w), logits.
        Returns logits (B, N, M, 4h, 4w) and predicted IoU (B, N, M), M = 3 with ``multimask``, else 1.

    Raises:
        ValueError: the last level has other than 256 channels, or an argument is none of the possible ones.
    """

    head_type = "prompts"
    kinds: tuple[str, ...] = KINDS

    def __init__(
        self,
        channels: Sequence[int],
        prompts: Sequence[str] = KINDS,
        trains: str = "full",
        lora: Mapping[str, Any] | None = None,
        base: str | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.prompts, self.trains, self.base = tuple(channels), tuple(prompts), trains, base
        self.lora = {"r": 8, "alpha": 16, "dropout": 0.0, **(lora or {})}
        if self.channels[-1] != CHANNELS:
            raise ValueError(
                f"a prompt head: expected {CHANNELS} channels in the encoder's last level, found {self.channels[-1]}"
            )
        for name, found, expected in (
            ("prompts", self.prompts, self.kinds),
            ("trains", (trains,), TRAINS),
            ("lora", tuple(self.lora), ("r", "alpha", "dropout")),
        ):
            if not found or not set(found) <= set(expected):
                raise ValueError(f"{name}: expected {' or '.join(expected)}, found {', '.join(found)!r}")
        config: Any = SamConfig(
            mask_decoder_config={"layer_norm_eps": 1e-5},  # Meta's; transformers says 1e-6
            attn_implementation="sdpa",  # type: ignore[call-arg]
        )
        self.prompt_encoder = SamPromptEncoder(config)
        self.mask_decoder = SamMaskDecoder(config.mask_decoder_config)
        if trains == "lora":
            adapter = LoraConfig(
                r=self.lora["r"],
                lora_alpha=self.lora["alpha"],
                lora_dropout=self.lora["dropout"],
                target_modules=LORA_TARGETS,
            )
            inject_adapter_in_model(adapter, self.mask_decoder, "decoder")
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(trains == "full" or "lora_" in name)
        leave_base_out(self)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build this head again."""
        arguments: dict[str, Any] = {"channels": list(self.channels), "prompts": list(self.prompts)}
        if self.trains != "full":
            arguments |= {"trains": self.trains, "base": self.base}
        return arguments | ({"lora": self.lora} if self.trains == "lora" else {})

    def forward(
        self,
        embedding: Tensor,
        side: int,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        multimask: bool = False,
    ) -> tuple[Tensor, ...]:
        return self.decode(embedding, side, points, point_labels, boxes, masks, multimask)

    def decode(
        self,
        embedding: Tensor,
        side: int,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        multimask: bool = False,
        tokens: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits and predicted IoU; `tokens` (B, N, T, 256) are further sparse prompts."""
        given = next(prompt for prompt in (points, boxes, masks, tokens) if prompt is not None)
        batch, count = given.shape[:2]
        with torch.autocast(embedding.device.type, enabled=False):
            embedding = embedding.float()
            rows, columns = embedding.shape[-2:]
            # Every prompt becomes an image of its own, so that each can have a mask of its own.
            self.prompt_encoder.input_image_size = side
            self.prompt_encoder.image_embedding_size = (rows, columns)
            sparse, dense = self.prompt_encoder(
                None if points is None else points.float().flatten(0, 1)[:, None],
                None if point_labels is None else point_labels.flatten(0, 1)[:, None],
                None if boxes is None else boxes.float().reshape(batch * count, 1, 4),
                None if masks is None else masks.float().flatten(0, 1)[:, None],
            )
            if tokens is not None:
                words = tokens.float().flatten(0, 1)[:, None]
                sparse = words if sparse is None else torch.cat([sparse, words], dim=2)
            logits, iou = self.mask_decoder(
                # As `repeat_interleave`, whose count ONNX would take for fixed.
                embedding[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1),
                self.positions(rows, columns).expand(batch * count, -1, -1, -1),
                sparse,
                dense.expand(batch * count, -1, -1, -1),
                multimask,
            )
        return logits.unflatten(0, (batch, count))[:, :, 0], iou.unflatten(0, (batch, count))[:, :, 0]

    def positions(self, rows: int, columns: int) -> Tensor:
        """Return the positional encoding (1, 256, rows, columns) of the embedding's pixels."""
        embed = self.prompt_encoder.shared_embedding
        device = embed.positional_embedding.device
        y, x = ((torch.arange(count, device=device) + 0.5) / count for count in (rows, columns))
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        return embed(grid).permute(2, 0, 1)[None]

    def load_weights(self, checkpoint: Checkpoint) -> None:
        """Take over prompt encoder and mask decoder of a checkpoint in Meta's or transformers' form.

        Raises:
            ValueError: the checkpoint has none, or its tensors do not fit; lists the missing and the unexpected.
        """
        mark = next(
            (name for name in checkpoint.names if name.endswith("mask_decoder.iou_token.weight")), None
        )
        if mark is None:
            raise ValueError(f"{checkpoint.source}: expected a prompt encoder and a mask decoder, found none")
        prefix = mark.removesuffix("mask_decoder.iou_token.weight")
        parts = tuple(f"{prefix}{part}." for part in ("prompt_encoder", "mask_decoder"))
        read = checkpoint.read([name for name in checkpoint.names if name.startswith(parts)])
        tensors = {name.removeprefix(prefix): value for name, value in read.items()}
        if "mask_decoder.iou_prediction_head.proj_in.weight" not in tensors:
            tensors = {original_to_transformers(name): value for name, value in tensors.items()}
        shared = f"{prefix}shared_image_embedding.positional_embedding"
        if shared in checkpoint.names:  # one tensor under two names, of which transformers saves this one
            tensors.setdefault(_POSITIONS, checkpoint.read([shared])[shared])
        expected = self.base_tensors()
        problems = [
            *(f"{name} missing" for name in sorted(expected.keys() - tensors.keys())),
            *(f"{name} unexpected" for name in sorted(tensors.keys() - expected.keys())),
            *(
                f"{name} expected {tuple(expected[name].shape)}, found {tuple(tensors[name].shape)}"
                for name in sorted(expected.keys() & tensors.keys())
                if expected[name].shape != tensors[name].shape
            ),
            *(f"{name} not finite" for name, tensor in tensors.items() if not tensor.isfinite().all()),
        ]
        if problems:
            more = f", and {len(problems) - 10} more" if len(problems) > 10 else ""
            raise ValueError(
                f"{checkpoint.source}: prompt weights do not fit: {', '.join(problems[:10])}{more}"
            )
        with torch.no_grad():
            for name, tensor in expected.items():
                tensor.copy_(tensors[name])
        if self.trains == "full" and self.base is None:
            return
        found, self.base = self.base, tensors_fingerprint(expected)
        if found not in (None, self.base):
            raise ValueError(
                f"{checkpoint.source}: expected the prompt weights {found}, found {self.base}: others than the adapter "
                "was trained on, or the encoder distilled with"
            )

    def load_base(self, encoder: str, pretrained: bool | str | Path) -> None:
        """Read the weights that the head's state leaves out, since they are the base's.

        Args:
            encoder: name of the image encoder.
            pretrained: where its weights are; True for its own.
        """
        if self.trains != "full":
            self.load_weights(open_prompt_weights(encoder, pretrained).checkpoint)

    def is_own(self, name: str) -> bool:
        """Return whether a tensor belongs to the head's state, or is the base's."""
        return self.trains == "full" or "lora_" in name

    def base_tensors(self) -> dict[str, Tensor]:
        """Return prompt encoder and mask decoder, by the names that they have without adapters."""
        named = (*self.named_parameters(), *self.named_buffers())
        return {
            name.replace(".base_layer.", "."): tensor.detach()
            for name, tensor in named
            if name.startswith(("prompt_encoder.", "mask_decoder.")) and "lora_" not in name
        }


def original_to_transformers(name: str) -> str:
    """Give a parameter of Meta's prompt encoder or mask decoder its name in transformers.

    Example:
        >>> original_to_transformers("mask_decoder.output_hypernetworks_mlps.3.layers.2.bias")
        'mask_decoder.output_hypernetworks_mlps.3.proj_out.bias'
    """
    for pattern, replacement in _ORIGINAL_NAMES.items():
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name
