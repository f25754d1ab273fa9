"""Record when storages are allocated and freed while fake tensors run."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

#: Allocators hand out memory in pieces of so many bytes: CUDA's of torch, and the alignment of the CPU's.
ROUNDING = {"cuda": 512, "cpu": 64}


class Ledger(TorchDispatchMode):
    """Note the size, birth and death of every storage that the operators in the ``with`` block make.

    Time is counted in operators. Unlike ``torch.distributed._tools.mem_tracker.MemTracker`` it takes frozen parameters,
    and it keeps the history, so that the peak can be evaluated at another batch.

    Args:
        workspace: gives the bytes that an operator takes besides its result, from itself and its arguments.

    Attributes:
        flops: of matrix products, convolutions and attention, as ``torch.utils.flop_counter`` counts them.
        backward: the backward pass has begun.
        offloads: results of blocks leave the memory for the backward pass, so that there is one at a time.
        copies: number of blocks for which the operators of the moment stand.
    """

    def __init__(self, workspace: Callable[[Any, Any], int] | None = None) -> None:
        super().__init__()
        self.workspace = workspace
        self.clock = 0
        self.flops = 0
        self.copies = 1
        self.backward = False
        self.offloads = False
        self._copies: list[int] = []
        self._opened: list[int] = []
        self._sizes: list[int] = []
        self._births: list[int] = []
        self._deaths: list[int | None] = []
        self._parts: list[str] = []
        self._entries: dict[int, int] = {}
        self._references: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default and isinstance(args[0], FakeTensor):
            return args[0].fake_device  # two thirds of all calls of a step
        self.clock += 1
        result = func(*args, **(kwargs or {}))
        for leaf in [result] if isinstance(result, Tensor) else tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.enter(leaf)
        if self.workspace is not None and (extra := self.workspace(func, args)):
            self._note(extra, "temporaries", self.clock + 1)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops += self.copies * count(*args, **(kwargs or {}), out_val=result)
        return result

    def enter(self, tensor: Tensor, part: str = "temporaries") -> None:
        """Note the storage of a tensor, unless it is known."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._entries:
            return
        self._entries[key] = entry = self._note(storage.nbytes(), part)

        def free(_: Any) -> None:
            self._deaths[entry] = self.clock + 1  # it was there while the last operator ran
            self._entries.pop(key, None)
            self._references.pop(key, None)

        self._references[key] = weakref.ref(storage, free)

    def _note(self, size: int, part: str, death: int | None = None) -> int:
        self._sizes.append(size)
        self._births.append(self.clock)
        self._deaths.append(death)
        self._parts.append(part)
        self._copies.append(1)
        return len(self._sizes) - 1

    def assign(self, tensors: Iterable[tuple[Tensor, int]], part: str) -> None:
        """Say which part of the memory these tensors are, and how many there are of each."""
        for tensor, copies in tensors:
            self.enter(tensor)
            entry = self._entries[tensor.untyped_storage()._cdata]
            self._parts[entry], self._copies[entry] = part, copies

    def open_block(self) -> None:
        """Begin the forward pass of a block."""
        self._opened.append(len(self._sizes))

    def close_block(self) -> None:
        """End the forward pass of a block: storages made in it that are alive exist once for each block it stands for.

        In the backward pass, where checkpointing runs blocks again, one block at a time is computed.
        """
        first = self._opened.pop()
        if not self.backward and not self.offloads:
            for entry in range(first, len(self._sizes)):
                if self._deaths[entry] is None:
                    self._copies[entry] = self.copies

    def keep(self, tensor: Tensor) -> Tensor:
        """Note a tensor that the forward pass saves for the backward pass; the ``pack`` of saved-tensor hooks."""
        self.enter(tensor)
        entry = self._entries[tensor.untyped_storage()._cdata]
        if self._parts[entry] == "temporaries":
            self._parts[entry] = "activations"
        return tensor

    def history(self, batch: int, scales: bool, device: str) -> History:
        """Return the history of all storages.

        Args:
            batch: that ran.
            scales: storages whose bytes are a multiple of the batch grow with it; the batch is then a prime number
                that is in no other size.
            device: whose allocator rounds the sizes.
        """
        sizes = np.asarray(self._sizes, np.int64)
        copies = np.asarray(self._copies, np.int64)
        growing = (sizes % batch == 0) & scales
        end = self.clock + 2
        return History(
            fixed=np.where(growing, 0, sizes),
            each=np.where(growing, sizes // batch, 0),
            copies=copies,
            births=np.asarray(self._births),
            deaths=np.asarray([end if death is None else death for death in self._deaths]),
            parts=np.asarray(self._parts),
            rounding=ROUNDING[device],
            flops=self.flops / batch,
        )


class History:
    """Hold the storages of a step: bytes = copies · (fixed + each · batch), from birth up to, but not at, death.

    Attributes:
        fixed, each, copies, births, deaths, parts: one entry for each storage.
        rounding: sizes are rounded up to a multiple of it.
        flops: of one image.
    """

    def __init__(
        self,
        fixed: np.ndarray,
        each: np.ndarray,
        copies: np.ndarray,
        births: np.ndarray,
        deaths: np.ndarray,
        parts: np.ndarray,
        rounding: int,
        flops: float,
    ) -> None:
        self.fixed, self.each, self.copies, self.births, self.deaths, self.parts = (
            fixed,
            each,
            copies,
            births,
            deaths,
            parts,
        )
        self.rounding, self.flops = rounding, flops

    def sizes(self, batch: int) -> np.ndarray:
        """Return the bytes of every storage at a batch."""
        exact = self.fixed + self.each * batch
        return self.copies * (-(-exact // self.rounding) * self.rounding)

    def peak(self, batch: int) -> dict[str, int]:
        """Return the bytes of each part at the moment of the highest sum."""
        sizes = self.sizes(batch)
        change = np.zeros(int(self.deaths.max()) + 1, np.int64)
        np.add.at(change, self.births, sizes)
        np.add.at(change, self.deaths, -sizes)
        moment = int(np.cumsum(change).argmax())
        alive = (self.births <= moment) & (self.deaths > moment)
        return {part: int(sizes[alive & (self.parts == part)].sum()) for part in np.unique(self.parts)}


def kept_elsewhere() -> Any:
    """Return a context in which tensors saved for the backward pass are freed, and come back when it needs them."""
    return torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: (tensor.shape, tensor.stride(), tensor.dtype),
        lambda facts: torch.empty_strided(facts[0], facts[1], dtype=facts[2]),
    )


def kept_for_backward(ledger: Ledger) -> Any:
    """Return a context in which tensors saved for the backward pass are noted as activations."""
    return torch.autograd.graph.saved_tensors_hooks(ledger.keep, lambda tensor: tensor)
