"""The stage that finds lesions, on disk: head and card in one folder, and the two stages that it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .adapters import AdapterStack, load_extra, verify_folder
from .adapters.store import tensors_fingerprint
from .encoders import ImageEncoder, build_encoder
from .networks import AdaptedSegmenter, LesionDetector, LesionHead, build_detector
from .stages import load_stage


def new_detector(
    encoder: ImageEncoder | AdapterStack,
    vessels: str | Path,
    segments: str | Path,
    start_from: str | Path | None = None,
    **arguments: Any,
) -> LesionDetector:
    """Build a lesion detector to be trained on two trained stages: fresh, or going on from a trained one.

    Args:
        encoder: the base.
        vessels, segments: folders of the stages to read, which :func:`monai_lora_sam.stages.save_stage` wrote.
        start_from: a folder that :func:`save_detector` wrote, with the same two stages below it. Its head is
            taken over, and what its strategy moved; one trained by ``frozen`` can go on by any strategy.
        arguments: of :func:`monai_lora_sam.networks.build_detector`.

    Raises:
        ValueError: if a folder is damaged, has another base or other parents, or was trained by another
            strategy.

    Example:
        >>> detector = new_detector(build_encoder("tiny", True), "vessels", "segments")  # doctest: +SKIP
    """
    stack = encoder if isinstance(encoder, AdapterStack) else AdapterStack(encoder)
    precision = arguments.get("mixed_precision", True)
    first = load_stage(vessels, stack, mixed_precision=precision)
    second = load_stage(segments, stack, mixed_precision=precision)
    if start_from is None:
        return build_detector(first, second, **arguments)
    card = _read_card(start_from)
    strategy, name = arguments.get("strategy", "frozen"), arguments.get("name", "stenosis")
    if card["strategy"] not in ("frozen", strategy):
        raise ValueError(
            f"{start_from}: expected to go on by strategy {card['strategy']!r}, found {strategy!r}"
        )
    _check_reads(start_from, card, first, second)
    stack.load(start_from, name if card["strategy"] == strategy else "start")
    detector = build_detector(first, second, **{**arguments, "width": card["head"]["width"]})
    detector.head.load_state_dict(load_extra(start_from, "head"))
    return detector


def save_detector(
    network: LesionDetector,
    folder: str | Path,
    *,
    task: str = "stenosis",
    class_names: list[str] | None = None,
    metrics: dict[str, float | None] | None = None,
    modality: str = "XA",
    version: str = "1",
    **more: Any,
) -> Path:
    """Write a detector into ``folder``, atomically, without the stages that it reads.

    The card says under ``reads`` which they are, with the SHA-256 of each one's head; their adapters are the
    detector's parents.

    Args:
        network: whose head (and what else it moved) is written.
        folder: replaced as a whole if it exists.
        task, class_names, metrics, modality, version, more: as :func:`monai_lora_sam.stages.save_stage` has
            them.

    Returns:
        The folder.
    """
    card = {
        **more,
        "task": task,
        "class_names": list(class_names or ["stenosis"]),
        "metrics": metrics or {},
        "modality": modality,
        "version": version,
        "adapters": list(network.adapters),
        "head": network.head.config,
        "input_size": network.stack.encoder.image_size,
        "reads": _reads(network.vessels, network.segments),
    }
    network.stack.save(network.name, folder, card=card, extra={"head": network.head.state_dict()})
    return Path(folder)


def load_detector(
    folder: str | Path,
    vessels: str | Path | AdaptedSegmenter,
    segments: str | Path | AdaptedSegmenter,
    *,
    pretrained: bool | str | Path = True,
    mixed_precision: bool = True,
) -> LesionDetector:
    """Read a detector and put it on the two stages that it was trained on, ready to run.

    Args:
        folder: what :func:`save_detector` wrote.
        vessels, segments: the stages, loaded on one stack, or their folders; then the encoder that the card
            names is built.
        pretrained: where that encoder's weights are; True for its usual place.
        mixed_precision: see :class:`monai_lora_sam.networks.LesionDetector`.

    Raises:
        ValueError: if a file is damaged, the base is another one, or a stage is another version than the one
            that the detector was trained on; what was expected and what was found are named.

    Example:
        >>> detector = load_detector("stenosis", "vessels", "segments")  # doctest: +SKIP
    """
    card = _read_card(folder)
    if not isinstance(vessels, AdaptedSegmenter):
        base = segments.stack if isinstance(segments, AdaptedSegmenter) else _encoder(card, pretrained)
        vessels = load_stage(vessels, base, mixed_precision=mixed_precision)
    if not isinstance(segments, AdaptedSegmenter):
        segments = load_stage(segments, vessels.stack, mixed_precision=mixed_precision)
    _check_reads(folder, card, vessels, segments)
    head = LesionHead(**card["head"])
    head.load_state_dict(load_extra(folder, "head"))
    name = vessels.stack.load(folder)
    network = LesionDetector(vessels, segments, head, card["strategy"], name, mixed_precision)
    return network.requires_grad_(False).eval()


def _encoder(card: dict[str, Any], pretrained: bool | str | Path) -> ImageEncoder:
    return build_encoder(card["encoder"]["name"], pretrained=pretrained, image_size=card["input_size"])


def _read_card(folder: str | Path) -> dict[str, Any]:
    card = verify_folder(folder)
    if not isinstance(card.get("reads"), dict):
        raise ValueError(f"{folder}: expected a stage that finds lesions, found task {card.get('task')!r}")
    return card


def _reads(vessels: AdaptedSegmenter, segments: AdaptedSegmenter) -> dict[str, dict[str, str]]:
    return {
        role: {"name": network.name, "head": tensors_fingerprint(network.head.state_dict())}
        for role, network in (("vessels", vessels), ("segments", segments))
    }


def _check_reads(
    folder: str | Path, card: dict[str, Any], vessels: AdaptedSegmenter, segments: AdaptedSegmenter
) -> None:
    """Refuse a stage below whose head is not the one that the detector was trained on."""
    for role, found in _reads(vessels, segments).items():
        expected = card["reads"].get(role)
        if not isinstance(expected, dict) or expected.get("head") != found["head"]:
            raise ValueError(
                f"{folder}: reads the stage {role!r} with the head {expected and expected.get('head')}, found "
                f"{found['head']}: another version of it than the detector was trained on"
            )
