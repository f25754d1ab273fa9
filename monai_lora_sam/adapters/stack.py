"""Named LoRA adapters on one frozen image encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import LoraConfig
from torch import Tensor, nn

from monai_lora_sam.adapters import lora, store
from monai_lora_sam.adapters.card import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MOVED_WEIGHTS
from monai_lora_sam.adapters.compatibility import (
    Weights,
    check_base,
    check_fingerprint,
    check_new_name,
    lora_shapes,
    match_parents,
)
from monai_lora_sam.adapters.moved_weights import adapter_key, check_shapes, load_moved_weights, moved_weights
from monai_lora_sam.adapters.presets import lora_config
from monai_lora_sam.adapters.record import AdapterRecord
from monai_lora_sam.adapters.saved import SavedAdapter, extra_file, open_adapter
from monai_lora_sam.encoders import ImageEncoder
from monai_lora_sam.files import atomic_folder


class AdapterStack(nn.Module):
    """Carry named adapters on one image encoder and apply the sum of those that are active.

    The encoder is frozen and stays in evaluation mode; only the trained name follows ``train()``. LoRA is
    PEFT's, which wraps the encoder in place with the first adapter. With no adapter active the output is the
    encoder's own, bit for bit.

    Besides LoRA a name can stand for another strategy (see :func:`apply_strategy`). Such a name is activated,
    saved and loaded alike; the weights that it moved in the encoder act whichever names are active.

    Args:
        encoder: the image encoder; it belongs to the stack from now on.

    Shapes:
        image: (B, 3, H, W); returns the encoder's list of (B, C_i, H_i, W_i), finest first.

    Example:
        >>> from monai_lora_sam.encoders import build_encoder
        >>> stack = AdapterStack(build_encoder("tiny"))
        >>> stack.add("liver", r=8)
        >>> stack.train_only("liver")
        >>> stack.active
        ('liver',)
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self._fingerprint = encoder.fingerprint  # before PEFT changes the names of its parameters
        # The encoder itself, and from the first adapter on PEFT's model around it.
        self.model: nn.Module = encoder.requires_grad_(False)
        self._records: dict[str, AdapterRecord] = {}
        self._active: tuple[str, ...] = ()
        self._trained: str | None = None
        self.train(self.training)

    @property
    def encoder(self) -> ImageEncoder:
        """The image encoder."""
        return lora.plain_encoder(self.model)

    @property
    def names(self) -> tuple[str, ...]:
        """All names on the stack, in the order in which they came."""
        return tuple(self._records)

    @property
    def active(self) -> tuple[str, ...]:
        """The names whose sum is applied."""
        return self._active

    @property
    def trained(self) -> str | None:
        """The name that is being trained, if any."""
        return self._trained

    def record(self, name: str) -> AdapterRecord:
        """Return the record of a name; raise a ``KeyError`` that lists the known ones."""
        if name not in self._records:
            raise KeyError(f"no adapter {name!r} on the stack: expected one of {list(self._records)}")
        return self._records[name]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of the encoder with the sum of the active adapters."""
        return self.encoder(image)

    # ---- adding and choosing -------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        r: int = 16,
        alpha: int = 32,
        targets: str | Sequence[str] | None = None,
        dropout: float = 0.05,
        layers: int | Sequence[int] | None = None,
    ) -> None:
        """Add a LoRA adapter (Hu et al., 2021) that starts at zero and is neither active nor trained yet.

        Args:
            name: letters, digits, ``-`` and ``_``.
            r: rank.
            alpha: the update is scaled by alpha / r.
            targets: a preset (``"qv"``, ``"qkv"``, ``"proj"``, ``"mlp"``, ``"all"``), or the ends of module names; None
                for the encoder's usual preset.
            dropout: on the input of the update while it is trained.
            layers: None for every block, n for the last n, or a list of block indices.

        Raises:
            ValueError: a name that is taken or unusable, or another argument that does not fit.
        """
        check_new_name(name, self.names, self.encoder)
        config = lora_config(self.encoder, r, alpha, targets, dropout, layers)
        lora_shapes(self.encoder, config)
        self.model = lora.inject(self.model, name, config)
        self._records[name] = AdapterRecord("lora")
        self._synchronise()

    def add_strategy(self, name: str, strategy: str, modules: Sequence[str] = ()) -> None:
        """Add a name without LoRA; :func:`apply_strategy` is the usual way.

        Args:
            name: letters, digits, ``-`` and ``_``.
            strategy: ``"frozen"``, ``"last_n"`` or ``"full"``.
            modules: names of the encoder's modules that its training moves; ``""`` is the whole encoder.
        """
        check_new_name(name, self.names, self.encoder, moved_by=strategy if modules else None)
        self._records[name] = AdapterRecord(strategy, tuple(modules))

    def activate(self, *names: str) -> None:
        """Apply the sum of these adapters from now on; none gives the encoder as it stands.

        If the adapter that is being trained is among them, the others are recorded as its parents.

        Raises:
            KeyError: if a name is not on the stack.
            ValueError: if a name is given twice.
        """
        self._switch(names)
        if self._trained in names:
            self._record_parents()

    @contextmanager
    def using(self, *names: str) -> Iterator[AdapterStack]:
        """Apply the sum of these adapters inside the ``with`` block, then the earlier ones again.

        With gradient checkpointing keep the backward pass inside the block too: it runs the blocks again.

        Example:
            >>> with stack.using("liver"):  # doctest: +SKIP
            ...     features = stack(image)
        """
        before = self._active
        self._switch(names)
        try:
            yield self
        finally:
            self._switch(before)

    def train_only(self, name: str) -> None:
        """Give gradients to this name alone; everything else is frozen and stays in evaluation mode.

        An adapter is activated as well. The adapters that were active already become its parents: activate
        them first. Under a strategy without LoRA its part of the encoder gets the gradients, under ``full``
        together with the active adapters.

        Raises:
            KeyError: if the name is not on the stack.
        """
        record = self.record(name)
        if record.is_lora and name not in self._active:
            self._active = (*self._active, name)
        if self._trained is not None:
            # It may have moved since a save in mid-training noted its fingerprint.
            self.record(self._trained).fingerprint = None
        record.parents = {}
        self._trained = name
        self._record_parents()
        self._synchronise()
        self.zero_grad()  # an optimiser over all parameters moves a frozen one too if it still has a gradient

    def train(self, mode: bool = True) -> AdapterStack:
        """Set training mode for the trained name; everything else stays in evaluation mode.

        A frozen adapter's dropout stays off: it would change an earlier stage's features while a later one is trained.
        Batch normalisation keeps its statistics: no adapter stores them.
        """
        super().train(False)
        self.training = mode
        for module in self._moved_modules():
            module.train(mode)
        lora.keep_statistics(self.model)
        lora.set_dropout(self.model, self._trained_adapters(), mode)
        return self

    # ---- tensors -------------------------------------------------------------------------------------------

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the trained tensors of a name, by their names on disk; none for ``frozen``."""
        record = self.record(name)
        if record.is_lora:
            return lora.tensors_of(self.model, name)
        tensors = moved_weights(self.encoder, record.modules)
        if record.strategy == "full":
            for parent in self._lora_parents(record):
                moved = lora.tensors_of(self.model, parent)
                tensors.update({adapter_key(parent, key): tensor for key, tensor in moved.items()})
        return tensors

    def fingerprint(self, name: str) -> str:
        """Return the SHA-256 of the trained tensors of a name, as they are now."""
        scale = f"alpha={lora.config_of(self.model, name).lora_alpha}" if self.record(name).is_lora else ""
        return store.tensors_fingerprint(self.tensors(name), scale)

    def budget(self) -> dict[str, dict[str, int]]:
        """Return the size of each name: ``{name: {"parameters": number, "bytes": number}}``."""
        tensors = {name: self.tensors(name).values() for name in self._records}
        return {
            name: {
                "parameters": sum(tensor.numel() for tensor in values),
                "bytes": sum(tensor.numel() * tensor.element_size() for tensor in values),
            }
            for name, values in tensors.items()
        }

    def merge(self, *names: str) -> ImageEncoder:
        """Return a plain copy of the encoder with these adapters merged into its weights, in full precision.

        The copy has a fingerprint of its own, since it is another base. The stack is unchanged.
        """
        self._check_names(names)
        merged = lora.merged_copy(self.model, [name for name in names if self._records[name].is_lora])
        merged.renew_fingerprint()
        return merged.requires_grad_(False).eval()

    # ---- disk ----------------------------------------------------------------------------------------------

    def save(
        self,
        name: str,
        folder: str | Path,
        *,
        card: Mapping[str, Any] | None = None,
        extra: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> dict[str, Any]:
        """Write one name into ``folder``, replacing an older version in one step; return the card.

        Whatever its strategy: ``lora`` writes PEFT's two files, ``last_n`` and ``full`` write
        ``encoder_delta.safetensors``, ``frozen`` only the card and the extras.

        Args:
            name: on the stack.
            folder: belongs to the adapter: replaced whole if it holds an older version.
            card: further entries: ``version`` ("1" if not given), ``task``, ``modality``, ``class_names``,
                ``input_size``, ``metrics`` and any others that JSON can hold; a loaded card's are kept.
            extra: further named tensors, such as ``{"head": head.state_dict()}`` for ``head.safetensors``.

        Raises:
            KeyError: if the name is not on the stack.
            ValueError: if a tensor holds NaN or infinity, or an entry of the card is reserved or unusable.
            FileExistsError: if ``folder`` exists, is not empty and is no adapter's.
        """
        record = self.record(name)
        store.check_save(name, folder, card or {})
        files = {extra_file(key): tensors for key, tensors in (extra or {}).items()}
        if record.is_lora:
            files[ADAPTER_WEIGHTS] = self.tensors(name)
        elif record.strategy != "frozen":
            files[MOVED_WEIGHTS] = self.tensors(name)
        record.fingerprint = self.fingerprint(name)
        content = record.content(name, self.encoder, self._fingerprint, card or {})
        config = lora.config_of(self.model, name) if record.is_lora else None
        with atomic_folder(folder) as temporary:
            record.card = store.write_folder(temporary, content, files, config)
        return record.card

    def load(self, folder: str | Path | SavedAdapter, name: str | None = None) -> str:
        """Load a folder that :meth:`save` wrote and return its name; it is not activated.

        Args:
            folder: of the adapter, or the adapter as :func:`open_adapter` read it.
            name: to load it under; the card's own if not given.

        Raises:
            FileNotFoundError, ValueError: a missing, truncated or changed file, another base, a parent that is
                not on the stack, or a name that is taken. The stack is then as before.
        """
        saved = open_adapter(folder)
        folder, card = saved.folder, saved.card
        name = card["name"] if name is None else name
        check_new_name(name, self.names, self.encoder, f"{folder}: ")
        check_base(folder, card, self.encoder, self._fingerprint)
        present = {
            key: Weights(self._fingerprint_of(key), bool(s.modules))
            for key, s in self._records.items()
            if s.strategy != "frozen"
        }
        parents = match_parents(folder, card, present)
        below = {parents[parent["name"]]: parent["fingerprint"] for parent in card["parents"]}
        record = AdapterRecord(card["strategy"], tuple(card["modules"]), below, card["fingerprint"], card)
        if record.is_lora:
            config, tensors = saved.config(), saved.tensors(ADAPTER_WEIGHTS)
            check_fingerprint(folder, card, store.tensors_fingerprint(tensors, f"alpha={config.lora_alpha}"))
            self._inject(name, config, tensors, folder)
        elif record.strategy == "frozen":
            check_fingerprint(folder, card, store.tensors_fingerprint({}))
        else:
            both = parents.items() if record.strategy == "full" else ()
            moved = {old: new for old, new in both if self._records[new].is_lora}
            tensors = saved.tensors(MOVED_WEIGHTS)
            check_fingerprint(folder, card, store.tensors_fingerprint(tensors))
            load_moved_weights(f"{folder}: {MOVED_WEIGHTS}", tensors, self.model, record.modules, moved)
        self._records[name] = record
        self._synchronise()
        return name

    def add_trained(
        self, name: str, config: LoraConfig, tensors: dict[str, Tensor], source: str | Path
    ) -> None:
        """Add a LoRA adapter that was trained elsewhere, without parents; ``source`` names it in messages.

        Raises:
            ValueError: a name that is taken or unusable, or tensors that do not fit the encoder.
        """
        check_new_name(name, self.names, self.encoder)
        self._inject(name, config, tensors, source)
        self._records[name] = AdapterRecord("lora")
        self._synchronise()

    # ---- inner working -------------------------------------------------------------------------------------

    def _inject(self, name: str, config: LoraConfig, tensors: dict[str, Tensor], source: str | Path) -> None:
        shapes = lora_shapes(self.encoder, config, f"{source}: {ADAPTER_CONFIG}: ")
        check_shapes(f"{source}: {ADAPTER_WEIGHTS}", shapes, tensors)
        self.model = lora.inject(self.model, name, config)
        lora.set_tensors(self.model, name, tensors)

    def _check_names(self, names: tuple[str, ...]) -> None:
        for name in names:
            self.record(name)
        if len(set(names)) != len(names):
            raise ValueError(f"adapters {list(names)}: expected each once")

    def _switch(self, names: tuple[str, ...]) -> None:
        self._check_names(names)
        self._active = names
        self._synchronise()

    def _synchronise(self) -> None:
        """Apply the active adapters, and give gradients and training mode to the trained name."""
        self.encoder.requires_grad_(False)
        for module in self._moved_modules():
            module.requires_grad_(True)
        active = [name for name in self._active if self._records[name].is_lora]
        lora.switch(self.model, active, self._trained_adapters())
        self.train(self.training)

    def _record_parents(self) -> None:
        """Record the active adapters, and the names that moved the encoder, as parents of the trained name."""
        assert self._trained is not None
        parents = self._records[self._trained].parents
        for name, record in self._records.items():
            is_parent = record.modules or (record.is_lora and name in self._active)
            if is_parent and name != self._trained:
                parents[name] = self._fingerprint_of(name)

    def _moved_modules(self) -> list[nn.Module]:
        modules = self._records[self._trained].modules if self._trained else ()
        return [self.encoder.get_submodule(module) for module in modules]

    def _trained_adapters(self) -> list[str]:
        """Return the adapters with gradients: the trained one, or, for ``full``, those it is trained on."""
        if self._trained is None:
            return []
        record = self._records[self._trained]
        if record.strategy == "full":
            return self._lora_parents(record)
        return [self._trained] if record.is_lora else []

    def _lora_parents(self, record: AdapterRecord) -> list[str]:
        return [name for name in record.parents if self._records[name].is_lora]

    def _fingerprint_of(self, name: str) -> str:
        """Return the fingerprint of a name as it was loaded or trained.

        It is kept from then on: ``full`` moves its parents, which keep the fingerprints from before.
        """
        record = self._records[name]
        if record.fingerprint is None or name == self._trained:
            record.fingerprint = self.fingerprint(name)
        return record.fingerprint
