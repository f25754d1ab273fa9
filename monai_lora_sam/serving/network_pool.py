"""Load promptable networks when they are asked for: bare bases, and adapters that share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from monai_lora_sam.adapters import SavedAdapter, list_adapters, open_adapter
from monai_lora_sam.networks import PromptableSegmenter, build_promptable, choose_device, feature_identity
from monai_lora_sam.prompting import load_promptable
from monai_lora_sam.stages import load_stage

CARD = "card.json"
#: Strategies whose adapters leave the encoder's own weights as they are, so that others can share it.
SHARING = ("lora", "frozen")


@dataclass(frozen=True, eq=False)
class ServedNetwork:
    """Hold a network that answers prompts, and its locks.

    Attributes:
        name: under which it is offered.
        network: in evaluation mode, with its adapter active when it runs.
        identity: of everything that an embedding depends on besides the image.
        encode_lock: held while the encoder runs; adapters on one base share it.
        decode_lock: held while the mask decoder runs.
    """

    name: str
    network: PromptableSegmenter
    identity: str
    encode_lock: Lock
    decode_lock: Lock


@dataclass(frozen=True)
class OfferedNetwork:
    """Describe a network that may be asked for, without loading it.

    Attributes:
        name: to ask for it.
        encoder: name of its encoder.
        modality, task, version: as the card has them; "" of a bare base.
        class_names: as the card has them.
        error: why it cannot be used; None where it can.
    """

    name: str
    encoder: str
    modality: str = ""
    task: str = ""
    version: str = ""
    class_names: tuple[str, ...] = ()
    error: str | None = None


@dataclass(eq=False)
class _Base:
    """A bare base, the lock of its encoder and the number of adapters that came onto it."""

    network: PromptableSegmenter
    encode_lock: Lock = field(default_factory=Lock)
    decode_lock: Lock = field(default_factory=Lock)
    count: int = 0


class NetworkPool:
    """Offer bare bases and every adapter in a folder, and load each once.

    Adapters trained by LoRA, or with a frozen encoder, share the encoder that their card names: switching between them
    loads nothing. An adapter that appears in the folder while the pool lives is offered at the next look. A folder
    that is replaced by another version is loaded again; requests that run go on with the version they began with.

    Args:
        bases: names of encoders that are offered without an adapter; the first is the default.
        adapters: folder in which adapters are looked for, at any depth; it need not exist yet. An adapter is offered
            under its folder's path below this one, such as ``liver/2``.
        installed: folders of adapters and stages that come with packages; those that are prompted are offered under
            their names.
        weights: files, folders or Hugging Face ids of encoders' weights, by the encoder's name; others have their own.
        image_sizes: sides in pixels of the bare bases' squares, by the encoder's name; others have their own.
        device: by default CUDA if there is one, else the CPU.

    Raises:
        ValueError: no base.

    Example:
        >>> pool = NetworkPool(["mini", "medsam_lite"], "adapters")  # doctest: +SKIP
        >>> pool.get("liver/2").network  # doctest: +SKIP
    """

    def __init__(
        self,
        bases: Sequence[str] = ("mini", "medsam_lite"),
        adapters: str | Path | None = None,
        *,
        installed: Sequence[str | Path] = (),
        weights: Mapping[str, str | Path] | None = None,
        image_sizes: Mapping[str, int] | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        if not bases:
            raise ValueError("bases: expected one encoder or more, found none")
        self.bases, self.adapters = tuple(bases), None if adapters is None else Path(adapters)
        self.weights, self.image_sizes = dict(weights or {}), dict(image_sizes or {})
        self.device = choose_device(device)
        self._installed_in = [Path(folder) for folder in installed]
        self._loaded: dict[str, tuple[Any, ServedNetwork]] = {}  # by name, with the stamp of the card
        self._on_base: dict[tuple[str, int | None, str | None], _Base] = {}
        self._locks: dict[str, Lock] = {}  # one load at a time of each name and of each base
        self._lock = Lock()

    @property
    def default(self) -> str:
        """The name of the first base."""
        return self.bases[0]

    def offered(self) -> list[OfferedNetwork]:
        """Return the bases and the adapters that are in the folder now; unusable ones have their error."""
        found = {name: OfferedNetwork(name, name) for name in self.bases}
        found |= {name: offer for name, (offer, _) in self._installed.items()}
        if self.adapters is None or not self.adapters.is_dir():
            return list(found.values())
        for card in list_adapters(self.adapters):
            name = Path(card["folder"]).relative_to(self.adapters).as_posix()
            error = card.get("error") or self._unusable(name, card)
            if name not in self.bases or error is None:
                found[name] = _offer(name, card, error)
        return list(found.values())

    @cached_property
    def _installed(self) -> dict[str, tuple[OfferedNetwork, Path]]:
        """The prompted adapters of installed packages with their folders, by name; they do not change."""
        cards = [
            card for folder in self._installed_in for card in list_adapters(folder) if "error" not in card
        ]
        fitting = [card for card in cards if self._unusable(card["name"], card) is None]
        return {card["name"]: (_offer(card["name"], card), Path(card["folder"])) for card in fitting}

    def get(self, name: str | None = None) -> ServedNetwork:
        """Return a network, loaded when it is asked for first or has changed on the disk.

        Raises:
            KeyError: nothing of this name is offered; the names that are come with it.
            ValueError, OSError: an adapter that is damaged or fits no base.
        """
        name = self.default if name is None else name
        if name in self.bases:
            base = self._base(name, self.image_sizes.get(name), None)
            return self._served(name, None, base.network, base.encode_lock, base.decode_lock)
        folder = self._folder(name)
        stamp = _stamp(folder)
        with self._lock_of(f"adapter {name}"):
            kept = self._loaded.get(name)
            if kept is not None and kept[0] == stamp:
                return kept[1]
            return self._load(name, stamp, open_adapter(folder))

    def _load(self, name: str, stamp: Any, saved: SavedAdapter) -> ServedNetwork:
        card = saved.card
        if error := self._unusable(name, card):
            raise ValueError(f"{saved.folder}: {error}")
        encoder = card["encoder"]["name"]
        if card["strategy"] not in SHARING:
            network = load_promptable(
                adapter=saved.folder, weights=self._weights(encoder), device=self.device
            )
            if not isinstance(network, PromptableSegmenter):
                raise ValueError(
                    f"{saved.folder}: expected a stage that boxes and points prompt, found SAM 3 by words"
                )
            return self._served(name, stamp, network, Lock(), Lock())
        base = self._base(encoder, card.get("input_size"), card["encoder"].get("quantisation"))
        with base.encode_lock:  # no image runs through the encoder while PEFT changes it
            base.count += 1
            own_name = f"{card['name']}-{base.count}"
            if card.get("head") is None:
                stack = base.network.stack
                loaded = stack.load(saved, own_name)
                network = PromptableSegmenter(
                    stack,
                    base.network.head,
                    (loaded,),
                    card["strategy"],
                    loaded,
                    base.network.mixed_precision,
                ).eval()
                return self._served(name, stamp, network, base.encode_lock, base.decode_lock)
            stage = load_stage(
                saved, base.network.stack, name=own_name, pretrained=self._weights(encoder) or True
            )
            if not isinstance(stage, PromptableSegmenter):
                raise ValueError(f"{saved.folder}: expected a stage that is prompted")
            return self._served(name, stamp, stage.to(self.device), base.encode_lock, Lock())

    def _served(
        self, name: str, stamp: Any, network: PromptableSegmenter, encode_lock: Lock, decode_lock: Lock
    ) -> ServedNetwork:
        with self._lock:
            kept = self._loaded.get(name)
            if kept is not None and kept[0] == stamp:
                return kept[1]
        identity = repr(sorted(feature_identity(network).items()))
        served = ServedNetwork(name, network, identity, encode_lock, decode_lock)
        with self._lock:
            self._loaded[name] = stamp, served
        return served

    def _base(self, encoder: str, side: int | None, quantise: str | None) -> _Base:
        """Return the base of an encoder at a size, built when it is asked for first; None for the weights' own size."""
        with self._lock_of(f"base {encoder}"):
            if (encoder, side, quantise) not in self._on_base:
                weights = self._weights(encoder)
                network = build_promptable(
                    encoder, True if weights is None else weights, side, quantise=quantise
                )
                built = _Base(network.to(self.device).eval())
                # An adapter may have brought the same base under its size.
                same = (encoder, network.stack.encoder.image_size, quantise)
                self._on_base[encoder, side, quantise] = self._on_base.setdefault(same, built)
            return self._on_base[encoder, side, quantise]

    def _weights(self, encoder: str) -> Any:
        return self.weights.get(encoder)

    def _lock_of(self, what: str) -> Lock:
        with self._lock:
            return self._locks.setdefault(what, Lock())

    def _folder(self, name: str) -> Path:
        """Return the folder of an adapter of this pool; no path that leads out of its folder."""
        parts = name.split("/")
        plain = all(part and not part.startswith(".") and "\0" not in part for part in parts)
        if self.adapters is not None and plain:
            root = self.adapters.resolve()
            folder = root.joinpath(*parts)
            if (folder / CARD).is_file() and folder.resolve().is_relative_to(root):
                return folder
        if name in self._installed:
            return self._installed[name][1]
        names = [one.name for one in self.offered() if one.error is None]
        near = get_close_matches(name, names, n=1)
        nearest = f" (nearest: {near[0]!r})" if near else ""
        raise KeyError(f"expected a network of {names}, found {name!r:.80}{nearest}")

    def _unusable(self, name: str, card: dict[str, Any]) -> str | None:
        if name in self.bases:
            return f"expected a folder of another name than the base {name!r}"
        if card["parents"]:
            parents = [parent["name"] for parent in card["parents"]]
            return f"expected an adapter without parents, found one on top of {parents}"
        head = (card.get("head") or {"type": "prompts"}).get("type")
        return (
            None
            if head == "prompts"
            else f"expected an adapter that is prompted, found a head of type {head!r}"
        )


def _offer(name: str, card: Mapping[str, Any], error: str | None = None) -> OfferedNetwork:
    """Describe an adapter by its card; that of one that cannot be read has an error alone."""
    encoder = card["encoder"]["name"] if "encoder" in card else ""
    facts = {key: str(card.get(key) or "") for key in ("modality", "task", "version")}
    classes = tuple(map(str, card.get("class_names") or ()))
    return OfferedNetwork(name, encoder, **facts, class_names=classes, error=error)


def _stamp(folder: Path) -> tuple[int, int, int]:
    """Return facts of a card that change when the folder is replaced, without reading its files."""
    facts = (folder / CARD).stat()
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
