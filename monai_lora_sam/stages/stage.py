"""Make, save and load the stages of a network: adapter, head and card in one folder, without the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.adapters import AdapterStack, SavedAdapter, open_adapter, tensors_fingerprint
from monai_lora_sam.encoders import ImageEncoder, build_encoder
from monai_lora_sam.networks import (
    HEADS,
    ConceptHead,
    HeadEntry,
    PromptHead,
    SegmentationHead,
    StageNetwork,
    build_head,
    head_card,
)

#: File of a stage's head.
HEAD = "head.safetensors"
#: Largest side in pixels that a card may name for its encoder.
LARGEST_SIDE = 8192


def new_stage(
    encoder: ImageEncoder | AdapterStack,
    start_from: str | Path | None = None,
    parents: Sequence[str | Path] = (),
    reads: Mapping[str, str | Path | StageNetwork] | None = None,
    head: str = "segmentation",
    **arguments: Any,
) -> StageNetwork:
    """Build a stage to be trained: with a fresh head, or going on from a trained one.

    Args:
        encoder: the base, or a stack that carries the adapters of earlier stages.
        start_from: a folder that :func:`save_stage` wrote. Its head and the weights that its strategy moved are
            taken over. Any strategy can go on from a stage trained by ``frozen``, which moved its head alone; the
            other strategies go on from their own.
        parents: folders of earlier stages, first to last, on top of which this one is trained: their adapters
            are loaded, active and frozen.
        reads: the stages whose outputs the network reads, by role: their folders, or networks on this stack.
        head: type of the head, from the registry.
        arguments: of the head's network, such as :func:`monai_lora_sam.networks.build_segmenter`.

    Raises:
        ValueError: if the trained stage is damaged, has another base, strategy or head, or reads other stages.

    Example:
        >>> network = new_stage(build_encoder("tiny", True), "models/liver/best")  # doctest: +SKIP
    """
    stack = encoder if isinstance(encoder, AdapterStack) else AdapterStack(encoder)
    if parents:
        loaded = [name for folder in parents if stack.record(name := stack.load(folder)).is_lora]
        stack.activate(*stack.active, *loaded)
    entry: HeadEntry = HEADS.load(head)
    start = None
    if start_from is not None:
        start = open_adapter(start_from)  # once: its card, head and weights are of one version
        _check_roles(start_from, _stage_card(start), reads or {})
    sources = _load_reads(reads or {}, stack, arguments.get("mixed_precision", True))
    if start_from is None or start is None:
        return entry.network.new(stack, entry.head, sources, **arguments)
    card = _stage_card(start)
    if card["head"]["type"] != head:
        raise ValueError(f"{start_from}: expected a head of type {head!r}, found {card['head']['type']!r}")
    if "strategy" in arguments and card["strategy"] not in ("frozen", arguments["strategy"]):
        raise ValueError(
            f"{start_from}: expected to go on by strategy {card['strategy']!r}, found {arguments['strategy']!r}"
        )
    _check_reads(start_from, card, sources)
    same = card["strategy"] == arguments.get("strategy", card["strategy"])
    stack.load(start, arguments.get("name", card["name"]) if same else "start")
    width = {"width": card["head"]["width"]} if "width" in card["head"] else {}
    network = entry.network.new(
        stack,
        entry.head,
        sources,
        **{"strategy": card["strategy"], "name": card["name"], **arguments, **width},
    )
    trained = _trained_head(start, card, stack, arguments.get("pretrained", True))
    if isinstance(trained, SegmentationHead):
        network.head.level_deviation = trained.level_deviation  # an older head takes the levels as they are
    if head_card(trained) != head_card(network.head):
        raise ValueError(
            f"{start_from}: expected the head {head_card(network.head)}, found {head_card(trained)}"
        )
    network.head.load_state_dict(trained.state_dict())
    return network


def save_stage(
    network: StageNetwork,
    folder: str | Path,
    *,
    task: str,
    class_names: list[str],
    metrics: dict[str, float | None] | None = None,
    modality: str = "",
    version: str = "1",
    **more: Any,
) -> Path:
    """Write a stage into ``folder``, atomically, without the base and without other stages.

    The card names the stages that the network reads under ``reads``, with the SHA-256 of each one's head; their
    adapters are its parents.

    Args:
        network: whose adapter (or moved base parameters) and head are written.
        folder: replaced as a whole if it exists.
        task: name of the structures that the network finds, such as ``liver``.
        class_names: of the logit maps, in their order, or of the objects found.
        metrics: scores to write into the card.
        modality: DICOM's term, such as ``CT``; "" where unknown.
        version: of this stage.
        more: further entries of the card.

    Returns:
        The folder.

    Raises:
        ValueError: if the number of class names is not that of the logit maps.
    """
    maps = getattr(network.head, "out_channels", len(class_names))
    if len(class_names) != maps:
        raise ValueError(f"{maps} logit maps need as many class names, found {class_names}")
    card = {
        **more,
        "task": task,
        "class_names": list(class_names),
        "metrics": metrics or {},
        "modality": modality,
        "version": version,
        "adapters": list(network.adapters),
        "head": head_card(network.head),
        "input_size": network.stack.encoder.image_size,
    }
    if network.reads:
        card["reads"] = _reads_card(network.reads)
    network.stack.save(network.name, folder, card=card, extra={"head": network.head.state_dict()})
    return Path(folder)


def load_stage(
    folder: str | Path | SavedAdapter,
    encoder: ImageEncoder | AdapterStack | None = None,
    *,
    name: str | None = None,
    parents: Sequence[str | Path] = (),
    reads: Mapping[str, str | Path | StageNetwork] | None = None,
    pretrained: bool | str | Path = True,
    mixed_precision: bool = True,
) -> StageNetwork:
    """Read a stage and put it on its base, ready to run.

    Args:
        folder: that :func:`save_stage` wrote, or its content as :func:`monai_lora_sam.adapters.open_adapter` read it.
        encoder: the base, or a stack that carries the stage's parents; by default the encoder that the card
            names is built, or that of a network in ``reads`` is taken.
        name: of the stage on the stack, where the card's own is taken, such as by another version.
        parents: folders of the stage's parents, first to last, to be loaded first where the stack lacks them.
        reads: the stages whose outputs it reads, by role: their folders, or networks on one stack.
        pretrained: where that encoder's weights are; True for its usual place.
        mixed_precision: see :class:`monai_lora_sam.networks.StageNetwork`.

    Raises:
        ValueError: if a file is damaged, the base is another one, a parent is missing, or a stage that it reads
            is missing or is another version; the message says which was expected and which found.

    Example:
        >>> network = load_stage("models/liver/best")  # doctest: +SKIP
    """
    saved = open_adapter(folder)  # once: card, head and weights are of one version
    folder, card = saved.folder, _stage_card(saved)
    _check_roles(folder, card, reads or {})
    loaded = [source for source in (reads or {}).values() if isinstance(source, StageNetwork)]
    if encoder is None and loaded:
        encoder = loaded[0].stack
    if encoder is None:
        made_on = card["encoder"]
        try:
            encoder = build_encoder(
                made_on["name"], pretrained, card["input_size"], quantise=made_on.get("quantisation")
            )
        except ValueError as error:
            raise ValueError(f"{folder}: its encoder, as the card names it: {error}") from error
    stack = encoder if isinstance(encoder, AdapterStack) else AdapterStack(encoder)
    for parent in parents:
        stack.load(parent)
    sources = _load_reads(reads or {}, stack, mixed_precision)
    _check_reads(folder, card, sources)
    head = _trained_head(saved, card, stack, pretrained)
    name = stack.load(saved, name)
    card["adapters"] = [name if adapter == card["name"] else adapter for adapter in card["adapters"]]
    _check_adapters(folder, card | {"name": name}, stack)
    entry: HeadEntry = HEADS.load(card["head"]["type"])
    network = entry.network.join(
        stack,
        head,
        sources,
        name=name,
        adapters=tuple(card["adapters"]),
        strategy=card["strategy"],
        mixed_precision=mixed_precision,
    )
    return network.requires_grad_(False).eval()


def read_stage_card(folder: str | Path) -> dict[str, Any]:
    """Check every file of a stage and return its card; the head has a type.

    Raises:
        ValueError: if a file is damaged, or the folder holds no stage.
    """
    return _stage_card(open_adapter(folder))


def head_type(saved: SavedAdapter) -> str:
    """Return the type of a stage's head; ``prompts`` for an adapter without one, since it uses its base's own.

    Raises:
        ValueError: if the folder is a damaged stage.
    """
    return _stage_card(saved)["head"]["type"] if saved.card.get("head") else "prompts"


def _stage_card(saved: SavedAdapter) -> dict[str, Any]:
    """Return the card of a stage whose entries have their types, and whose head has a type."""
    folder, card = saved.folder, dict(saved.card)
    head = card.get("head")
    if not isinstance(head, dict) or HEAD not in saved.contents:
        raise ValueError(
            f"{folder}: expected a stage, whose card has a head and whose folder {HEAD}; found the adapter "
            f"{card['name']!r} (strategy {card['strategy']!r}) without one"
        )
    if "type" not in head:
        head = {"type": _type_of_old_card(folder, head), **head}
    card["head"] = head
    reads = card.get("reads", {})
    for entry, fits in {
        "head": isinstance(head["type"], str),
        "adapters": _are_texts(card.get("adapters")),
        "class_names": _are_texts(card.get("class_names", [])),
        "input_size": type(card.get("input_size")) is int and 0 < card["input_size"] <= LARGEST_SIDE,
        "encoder": bool(card["encoder"]),
        "task": isinstance(card.get("task"), str),
        "metrics": isinstance(card.get("metrics", {}), dict),
        "reads": isinstance(reads, dict) and all(isinstance(source, dict) for source in reads.values()),
    }.items():
        if not fits:
            found = card.get(entry)
            raise ValueError(
                f"{folder}: card.json: expected the entry {entry!r} of a stage, found {found!r:.80}"
            )
    return card


def _check_adapters(folder: str | Path, card: dict[str, Any], stack: AdapterStack) -> None:
    """Refuse a card whose active adapters are not on the stack, not distinct, or lack the stage's own."""
    names = card["adapters"]
    own = [card["name"]] if card["strategy"] == "lora" else []
    if len(set(names)) != len(names) or not set(own) <= set(names) <= set(stack.names):
        raise ValueError(
            f"{folder}: expected active adapters of {list(stack.names)} with {own}, found {names}"
        )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _type_of_old_card(folder: str | Path, head: Mapping[str, Any]) -> str:
    for name in HEADS.names():
        entry: HeadEntry = HEADS.load(name)
        if entry.old_card is not None and entry.old_card(head):
            return name
    raise ValueError(f"{folder}: expected the head's type, found {head}")


def _trained_head(
    saved: SavedAdapter, card: dict[str, Any], stack: AdapterStack, pretrained: bool | str | Path
) -> Any:
    head = card["head"]
    try:
        if issubclass(HEADS.load(head["type"]).head, SegmentationHead):
            # Cards did not always name the channels, and heads took the levels as they were.
            head = {"channels": list(stack.encoder.channels), "level_deviation": None, **head}
        built: Any = build_head(head)
        built.load_state_dict(saved.extra("head"))
        if isinstance(built, PromptHead | ConceptHead):  # a part of it can be the base's
            built.load_base(stack.encoder.name, pretrained)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{saved.folder}: expected the head of its card and its weights: {reason:.300}"
        ) from error
    return built


def _load_reads(
    reads: Mapping[str, str | Path | StageNetwork], stack: AdapterStack, mixed_precision: bool
) -> dict[str, StageNetwork]:
    return {
        role: source
        if isinstance(source, StageNetwork)
        else load_stage(source, stack, mixed_precision=mixed_precision)
        for role, source in reads.items()
    }


def _reads_card(reads: Mapping[str, StageNetwork]) -> dict[str, dict[str, str]]:
    return {
        role: {"name": network.name, "head": tensors_fingerprint(network.head.state_dict())}
        for role, network in reads.items()
    }


def _check_reads(folder: str | Path, card: dict[str, Any], reads: Mapping[str, StageNetwork]) -> None:
    """Refuse stages whose heads are not the ones that this stage was trained on."""
    for role, found in _reads_card(reads).items():
        expected = card["reads"][role].get("head")
        if expected != found["head"]:
            raise ValueError(
                f"{folder}: reads the stage {role!r} with the head {expected}, found {found['head']}: another "
                "version of it than this stage was trained on"
            )


def _check_roles(folder: str | Path, card: dict[str, Any], reads: Mapping[str, Any]) -> None:
    expected = card.get("reads", {})
    if set(expected) != set(reads):
        raise ValueError(
            f"{folder}: expected to read the stages {sorted(expected)}, found {sorted(reads)} (`reads`)"
        )
