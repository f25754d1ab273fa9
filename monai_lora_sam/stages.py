"""A trained stage on disk: adapter, head and card in one folder, without the base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .adapters import AdapterStack, load_extra, verify_folder
from .encoders import ImageEncoder, build_encoder
from .networks import AdaptedSegmenter, SegmentationHead, build_segmenter

#: The stages that come with the package, trained on the tiny base.
SHIPPED = Path(__file__).parent / "assets" / "stages"


def new_stage(
    encoder: ImageEncoder | AdapterStack,
    start_from: str | Path | None = None,
    below: Sequence[str | Path] = (),
    **arguments: Any,
) -> AdaptedSegmenter:
    """Build a stage to be trained: with a fresh head, or going on from a trained one.

    Args:
        encoder: the base, or a stack that carries the adapters of earlier stages.
        below: folders of earlier stages, first to last, on top of which this one is trained: their adapters
            are loaded, active and frozen.
        start_from: a folder that :func:`save_stage` wrote. Its head is taken over, and what its strategy moved.
            One trained by ``frozen`` moved nothing but its head, so any strategy can go on from it; the others
            go on by the same strategy.
        arguments: of :func:`monai_lora_sam.networks.build_segmenter`.

    Raises:
        ValueError: if the trained stage is damaged, has another base, strategy or number of logit maps.

    Example:
        >>> network = new_stage(build_encoder("tiny", True), SHIPPED / "vessels")  # doctest: +SKIP
    """
    stack = encoder if isinstance(encoder, AdapterStack) else AdapterStack(encoder)
    if below:
        stack.activate(
            *stack.active, *[name for folder in below if stack.skill(name := stack.load(folder)).is_lora]
        )
    if start_from is None:
        return build_segmenter(stack, **arguments)
    card = verify_folder(start_from)
    strategy, name = arguments.get("strategy", "lora"), arguments.get("name", "vessels")
    if card["strategy"] not in ("frozen", strategy):
        raise ValueError(
            f"{start_from}: expected to go on by strategy {card['strategy']!r}, found {strategy!r}"
        )
    stack.load(start_from, name if card["strategy"] == strategy else "start")
    network = build_segmenter(stack, **{**arguments, "width": card["head"]["width"]})
    if card["head"]["out_channels"] != network.head.out_channels:
        raise ValueError(
            f"{start_from}: expected {network.head.out_channels} logit maps, found {card['head']['out_channels']}"
        )
    network.head.load_state_dict(load_extra(start_from, "head"))
    return network


def save_stage(
    network: AdaptedSegmenter,
    folder: str | Path,
    *,
    task: str,
    class_names: list[str],
    metrics: dict[str, float | None] | None = None,
    modality: str = "XA",
    version: str = "1",
    **more: Any,
) -> Path:
    """Write a stage into ``folder``, atomically.

    Args:
        network: whose adapter (or moved base parameters) and head are written.
        folder: replaced as a whole if it exists.
        task: what the logits mean: ``vessels``.
        class_names: of the logit maps, in their order.
        metrics: scores to write into the card.
        modality: DICOM's term: ``XA`` for X-ray angiography.
        version: of this stage.
        more: further entries of the card.

    Returns:
        The folder.

    Raises:
        ValueError: if the number of class names is not that of the logit maps.
    """
    head = network.head
    if len(class_names) != head.out_channels:
        raise ValueError(f"{head.out_channels} logit maps need as many class names, found {class_names}")
    card = {
        **more,
        "task": task,
        "class_names": list(class_names),
        "metrics": metrics or {},
        "modality": modality,
        "version": version,
        "adapters": list(network.adapters),
        "head": {"out_channels": head.out_channels, "width": head.width},
        "input_size": network.stack.encoder.image_size,
    }
    network.stack.save(network.name, folder, card=card, extra={"head": head.state_dict()})
    return Path(folder)


def load_stage(
    folder: str | Path,
    encoder: ImageEncoder | AdapterStack | None = None,
    *,
    below: Sequence[str | Path] = (),
    pretrained: bool | str | Path = True,
    mixed_precision: bool = True,
) -> AdaptedSegmenter:
    """Read a stage and put it on its base, ready to run.

    Args:
        folder: what :func:`save_stage` wrote.
        encoder: the base, or a stack that carries the stage's parents; by default the encoder that the card
            names is built.
        below: folders of the stage's parents, first to last, to be loaded first where the stack lacks them.
        pretrained: where that encoder's weights are; True for its usual place.
        mixed_precision: see :class:`monai_lora_sam.networks.AdaptedSegmenter`.

    Raises:
        ValueError: if a file is damaged, the base is another one, or a parent is missing; what was expected
            and what was found are named.

    Example:
        >>> network = load_stage(SHIPPED / "vessels")  # doctest: +SKIP
    """
    card = verify_folder(folder)
    if "out_channels" not in card["head"]:
        raise ValueError(f"{folder}: expected a stage with logit maps, found task {card.get('task')!r}")
    if encoder is None:
        made_on = card["encoder"]
        encoder = build_encoder(made_on["name"], pretrained=pretrained, image_size=card["input_size"])
    stack = encoder if isinstance(encoder, AdapterStack) else AdapterStack(encoder)
    for parent in below:
        stack.load(parent)
    name = stack.load(folder)
    head = SegmentationHead(stack.encoder.channels, **card["head"])
    head.load_state_dict(load_extra(folder, "head"))
    network = AdaptedSegmenter(
        stack, head, tuple(card["adapters"]), card["strategy"], name, mixed_precision=mixed_precision
    )
    return network.requires_grad_(False).eval()
