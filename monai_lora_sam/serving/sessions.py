"""Keep the state of each user apart: sessions with a lock and a lease."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
from torch import Tensor

from monai_lora_sam.prompting import ObjectPrompt

#: Objects of a session whose last logits are kept for refinement: 1 MiB each at 512 x 512.
KEPT_OBJECTS = 4


class SessionExpired(LookupError):
    """Tell that a session is unknown, or that its lease has ended."""


class ClickSession:
    """Hold one user's work on one image.

    Attributes:
        image: SHA-256 of the image's pixels.
        read: reads these pixels again, (H, W, 3) from 0 to 1; they are not kept.
        size: height and width in pixels.
        lock: held while a request of this session runs.
    """

    def __init__(self, image: str, read: Callable[[], np.ndarray], size: tuple[int, int]) -> None:
        self.image, self.read, self.size = image, read, size
        self.lock = Lock()
        # Last prompt and its logits of each object and network, used last at the end.
        self._answers: OrderedDict[tuple[str, str], tuple[ObjectPrompt, Tensor]] = OrderedDict()

    def previous(self, network: str, prompt: ObjectPrompt) -> Tensor | None:
        """Return the logits of the last answer of a network about an object, if the prompt only adds points to it.

        A prompt from which a point was taken away starts afresh, so that the point leaves no trace.
        """
        before, logits = self._answers.get((network, prompt.name), (None, None))
        if before is None or before.box != prompt.box or len(prompt.points) <= len(before.points):
            return None
        return logits if prompt.points[: len(before.points)] == before.points else None

    def remember(self, network: str, prompt: ObjectPrompt, logits: Tensor) -> None:
        """Keep the logits of an answer; those of the object used longest ago are dropped."""
        self._answers[network, prompt.name] = prompt, logits
        self._answers.move_to_end((network, prompt.name))
        while len(self._answers) > KEPT_OBJECTS:
            self._answers.popitem(last=False)


class SessionStore:
    """Hand out sessions under names that cannot be guessed, and end those that nobody uses.

    Args:
        lease_s: seconds after its last use at which a session ends.
        limit: number of sessions; a further one ends the session used longest ago.
        clock: seconds that never go back.

    Example:
        >>> store = SessionStore()
        >>> name = store.open(session)  # doctest: +SKIP
        >>> with store.use(name) as session: ...  # doctest: +SKIP
    """

    def __init__(
        self, lease_s: float = 1800.0, limit: int = 64, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not lease_s > 0 or limit < 1:
            raise ValueError(f"expected a lease above 0 s and a limit from 1, found {lease_s} and {limit}")
        self.lease_s, self.limit, self._clock = lease_s, limit, clock
        self._open: OrderedDict[str, tuple[ClickSession, float]] = OrderedDict()  # with the end of each lease
        self._lock = Lock()

    def __len__(self) -> int:
        with self._lock:
            self._end_expired()
            return len(self._open)

    def open(self, session: ClickSession) -> str:
        """Open a session and return its name."""
        name = secrets.token_urlsafe(18)
        with self._lock:
            self._end_expired()
            while len(self._open) >= self.limit:
                self._open.popitem(last=False)
            self._open[name] = session, self._clock() + self.lease_s
        return name

    @contextmanager
    def use(self, name: str) -> Iterator[ClickSession]:
        """Hold a session alone and renew its lease.

        Raises:
            SessionExpired: no such session, or its lease has ended.
        """
        with self._lock:
            self._end_expired()
            if name not in self._open:
                raise SessionExpired(
                    "expected an open session, found one that has ended or never was: open the image again"
                )
            session = self._open[name][0]
            self._renew(name, session)
        with session.lock:
            try:
                yield session
            finally:
                with self._lock:
                    if name in self._open:  # a request may take longer than the lease
                        self._renew(name, session)

    def close(self, name: str) -> None:
        """End a session; one that has ended already stays so."""
        with self._lock:
            self._open.pop(name, None)

    def _renew(self, name: str, session: ClickSession) -> None:
        self._open[name] = session, self._clock() + self.lease_s
        self._open.move_to_end(name)

    def _end_expired(self) -> None:
        now = self._clock()
        while self._open and next(iter(self._open.values()))[1] <= now:
            self._open.popitem(last=False)
