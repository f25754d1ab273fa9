"""Embeddings are computed once a key, whoever asks, and the cache never holds more bytes than it may."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from monai_lora_sam.networks import ImageEmbedding
from monai_lora_sam.serving import EmbeddingCache

BYTES = 4 * 100


def embedding(value: float = 0.0) -> ImageEmbedding:
    return ImageEmbedding(torch.full((1, 1, 10, 10), value), (10, 10))


def test_threads_that_ask_for_one_key_wait_for_one_computation() -> None:
    cache, computed, begun = EmbeddingCache(10 * BYTES), [], threading.Barrier(8)

    def compute() -> ImageEmbedding:
        computed.append(threading.get_ident())
        threading.Event().wait(0.05)
        return embedding(3)

    def ask(_: int) -> ImageEmbedding:
        begun.wait()
        return cache.get("a", compute)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
    assert len(computed) == 1
    assert all(answer is answers[0] for answer in answers)
    assert (cache.facts.hits, cache.facts.computed) == (7, 1)


def test_other_keys_are_computed_side_by_side() -> None:
    cache, both = EmbeddingCache(10 * BYTES), threading.Barrier(2, timeout=10)

    def compute() -> ImageEmbedding:
        both.wait()  # breaks unless both computations run at once
        return embedding()

    with ThreadPoolExecutor(2) as threads:
        assert len(list(threads.map(lambda key: cache.get(key, compute), "ab"))) == 2


def test_the_least_recently_used_goes_first_and_bytes_are_bounded() -> None:
    cache = EmbeddingCache(2 * BYTES)
    for key in ("a", "b", "a", "c"):
        cache.get(key, embedding)
        assert cache.facts.bytes <= 2 * BYTES
    assert [key in cache for key in "abc"] == [True, False, True]
    assert cache.facts.entries == 2


def test_an_embedding_larger_than_the_cache_is_returned_and_not_kept() -> None:
    cache = EmbeddingCache(BYTES - 1)
    assert cache.get("a", embedding).size == (10, 10)
    assert (cache.facts.entries, cache.facts.bytes) == (0, 0)


def test_an_error_reaches_all_who_wait_and_the_next_request_computes_again() -> None:
    cache, begun = EmbeddingCache(BYTES), threading.Barrier(3)

    def fail() -> ImageEmbedding:
        threading.Event().wait(0.05)
        raise OSError("gone")

    def ask(_: int) -> str:
        begun.wait()
        with pytest.raises(OSError, match="gone") as caught:
            cache.get("a", fail)
        return str(caught.value)

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(ask, range(3))) == ["gone"] * 3
    assert cache.get("a", embedding).size == (10, 10)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 or more, found -1"):
        EmbeddingCache(-1)
