"""Keep the embeddings of images in memory, for the requests of all users."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock

from monai_lora_sam.networks import ImageEmbedding


@dataclass(frozen=True)
class CacheFacts:
    """Hold the state of a cache: entries, their size in bytes, requests that were hits, and embeddings computed."""

    entries: int
    bytes: int
    hits: int
    computed: int


class EmbeddingCache:
    """Keep the embeddings that were used last, up to a number of bytes.

    Threads that ask for one key at once wait for one computation. Its error goes to all of them, and the next request
    computes again. An embedding larger than the cache is returned and not kept.

    Args:
        max_bytes: of all features kept.

    Raises:
        ValueError: a negative number of bytes.

    Example:
        >>> cache = EmbeddingCache(512 * 2**20)
        >>> embedding = cache.get((image, adapters), lambda: encode_pixels(network, pixels))  # doctest: +SKIP
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes: expected 0 or more, found {max_bytes}")
        self.max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, ImageEmbedding] = OrderedDict()  # used last at the end
        self._computing: dict[Hashable, Future[ImageEmbedding]] = {}
        self._bytes = self._hits = self._computed = 0
        self._lock = Lock()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept

    @property
    def facts(self) -> CacheFacts:
        """The state of the cache."""
        with self._lock:
            return CacheFacts(len(self._kept), self._bytes, self._hits, self._computed)

    def get(self, key: Hashable, compute: Callable[[], ImageEmbedding]) -> ImageEmbedding:
        """Return the embedding of a key, computed unless it is kept or another thread computes it already."""
        with self._lock:
            if key in self._kept:
                self._hits += 1
                self._kept.move_to_end(key)
                return self._kept[key]
            future = self._computing.get(key)
            if future is not None:
                self._hits += 1
            else:
                own: Future[ImageEmbedding] = Future()
                self._computing[key] = own
        if future is not None:
            return future.result()
        try:
            embedding = compute()
        except BaseException as error:
            with self._lock:
                del self._computing[key]
            own.set_exception(error)
            raise
        with self._lock:
            self._keep(key, embedding)
            self._computed += 1
            del self._computing[key]
        own.set_result(embedding)
        return embedding

    def _keep(self, key: Hashable, embedding: ImageEmbedding) -> None:
        if embedding.features.nbytes > self.max_bytes:
            return
        self._kept[key] = embedding
        self._bytes += embedding.features.nbytes
        while self._bytes > self.max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.features.nbytes
