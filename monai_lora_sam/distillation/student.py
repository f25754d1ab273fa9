"""Build a student beside its teacher, and save it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from monai_lora_sam.adapters import AdapterStack, open_adapter, tensors_fingerprint
from monai_lora_sam.distillation.distillation import Distillation
from monai_lora_sam.encoders import ImageEncoder, build_encoder
from monai_lora_sam.networks import DecoderSource, PromptableSegmenter, PromptHead, build_promptable

#: Place of a decoder that is in the student's own folder.
HERE = "here"


def new_distillation(
    teacher_name: str = "medsam_lite",
    teacher_weights: bool | str | Path = True,
    teacher_image_size: int | None = None,
    teacher_quantise: str | None = None,
    student_name: str = "mini",
    student_weights: bool | str | Path = "imagenet",
    image_size: int | None = None,
    start_from: str | Path | None = None,
    frozen_blocks: int = 0,
    rounds: int = 0,
    mixed_precision: bool = True,
    gradient_checkpointing: bool | str = False,
) -> Distillation:
    """Put a student beside a frozen teacher, with a copy of its prompt encoder and mask decoder.

    A student that starts afresh takes over scale and offset of the layer normalisation that ends the teacher's neck, as
    it ends its own: their embeddings then have one scale from the start.

    Batch normalisation of the student keeps its statistics while its scale and offset train.

    Args:
        teacher_name: of an encoder whose weights have a prompt encoder and a mask decoder.
        teacher_weights: True for its own, or a Hugging Face id, folder or file; False for random ones.
        teacher_image_size: side in pixels of the square that the teacher reads; by default that of its weights.
        teacher_quantise: ``"nf4"`` for a teacher whose linear layers have 4-bit weights; None for full precision.
        student_name: of an encoder with 256 channels in its last level.
        student_weights: as of the teacher; "imagenet" takes those of its backbone before any distillation.
        image_size: side in pixels of the square that the student reads; by default that of its weights.
        start_from: folder of a student of this teacher to go on from, in place of `student_weights`.
        frozen_blocks: number of the student's first blocks that keep their weights, with everything before them. The
            fine levels, which a head of a stage reads, then stay those of the weights that it starts from.
        rounds: see :class:`Distillation`.
        mixed_precision: run both encoders in bfloat16 autocast.
        gradient_checkpointing: keep only the input of each of the student's blocks; ``"offload"``: on the CPU.

    Raises:
        FileNotFoundError: missing weights.
        ValueError: weights that do not fit, more frozen blocks than the student has, a student whose last level
            has other than 256 channels, one that another teacher's decoder belongs to, or a teacher without linear
            layers to quantise.

    Example:
        >>> pair = new_distillation("medsam_lite", student_name="mini", image_size=512)  # doctest: +SKIP
    """
    teacher = build_promptable(
        teacher_name, teacher_weights, teacher_image_size, mixed_precision, teacher_quantise
    )
    base = tensors_fingerprint(teacher.head.base_tensors())
    if start_from is not None:
        _check_start(start_from, student_name, base)
        student_weights = start_from
    encoder = build_encoder(
        student_name, student_weights, image_size, gradient_checkpointing=gradient_checkpointing
    )
    student = PromptableSegmenter.new(
        AdapterStack(encoder),
        PromptHead,
        {},
        name="student",
        strategy="full",
        decoder="frozen",
        pretrained=False,
        mixed_precision=mixed_precision,
    )
    with torch.no_grad():
        theirs = teacher.head.base_tensors()
        for name, tensor in student.head.base_tensors().items():
            tensor.copy_(theirs[name])
        if start_from is None:
            _copy_last_norm(teacher.stack.encoder, encoder)
    _freeze_blocks(encoder, frozen_blocks)
    student.head.prompts, student.head.base = teacher.head.prompts, base
    place = HERE if teacher_weights is False else _place(teacher_weights)
    return Distillation(teacher, student, rounds, DecoderSource(teacher_name, place))


def save_student(network: Distillation, folder: str | Path, *, half: bool = False, **card: Any) -> Path:
    """Save the student of a pair; ``PromptableSegmenter.from_pretrained(folder)`` loads it.

    Encoder and neck are written. Prompt encoder and mask decoder are the teacher's: the card names them and their
    fingerprint, unless the teacher has random weights, which nobody could find again.

    Args:
        network: teacher and student.
        folder: replaced as a whole.
        half: write matrices and convolutions in float16.
        card: further entries of the card, such as scores.
    """
    teacher = network.stack.encoder
    named = {"name": teacher.name, "fingerprint": teacher.fingerprint, "image_size": teacher.image_size}
    if teacher.quantisation is not None:
        named["quantisation"] = teacher.quantisation
    return network.student.save_pretrained(folder, network.decoder, half, teacher=named, **card)


def _copy_last_norm(teacher: ImageEncoder, student: ImageEncoder) -> None:
    """Copy scale and offset of the normalisation that ends an encoder; encoders without one stay as they are."""
    theirs, own = _last_norm(teacher), _last_norm(student)
    if theirs is not None and own is not None:
        own.weight.copy_(theirs.weight)
        own.bias.copy_(theirs.bias)


def _freeze_blocks(encoder: ImageEncoder, count: int) -> None:
    """Freeze the first blocks of an encoder and everything before them."""
    if not 0 <= count <= len(encoder.blocks):
        raise ValueError(
            f"frozen_blocks: expected 0 to {len(encoder.blocks)} of {encoder.name}, found {count}"
        )
    if count:
        encoder.model.requires_grad_(False)
        for part in (*encoder.blocks[count:], encoder.model.neck):
            part.requires_grad_(True)


def _last_norm(encoder: ImageEncoder) -> Any:
    """Return the last module with parameters if it is a layer normalisation of the embedding's channels."""
    last: Any = [part for part in encoder.model.modules() if list(part.parameters(recurse=False))][-1]
    known = "LayerNorm" in type(last).__name__ and getattr(last, "bias", None) is not None
    return last if known and last.weight.shape == (encoder.channels[-1],) else None


def _check_start(folder: str | Path, student_name: str, base: str) -> None:
    card = open_adapter(folder).card
    if card["encoder"].get("name") != student_name or "decoder" not in card:
        raise ValueError(
            f"{folder}: expected a student on {student_name!r}, found {card['encoder'].get('name')!r} "
            f"({card['name']!r})"
        )
    if card["decoder"]["fingerprint"] != base:
        raise ValueError(
            f"{folder}: expected a student with the teacher's mask decoder {base}, found one with "
            f"{card['decoder']['fingerprint']} of {card['decoder']['encoder']!r}"
        )


def _place(weights: bool | str | Path) -> str | None:
    """Return where weights are, as a card holds it: a full path, a Hugging Face id, or None for the usual place."""
    if weights is True:
        return None
    path = Path(str(weights)).expanduser()
    return str(path.resolve()) if path.exists() else str(weights)
