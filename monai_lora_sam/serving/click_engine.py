"""Answer clicks: a network of the pool, an embedding of the cache, the state of a session."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_lora_sam.networks import ImageEmbedding, PromptedMasks
from monai_lora_sam.prompting import (
    ObjectPrompt,
    SegmentedObject,
    answer_prompt,
    encode_pixels,
    segment_volume,
)
from monai_lora_sam.serving.embedding_cache import EmbeddingCache
from monai_lora_sam.serving.network_pool import NetworkPool, ServedNetwork
from monai_lora_sam.serving.sessions import ClickSession, SessionStore


class ImageChanged(RuntimeError):
    """Tell that an image is another one than when its session was opened."""


@dataclass(frozen=True, eq=False)
class ClickAnswer:
    """Hold the mask of one object.

    Attributes:
        mask: (H, W) bool.
        predicted_iou: the network's own estimate of the mask's intersection over union, 0..1.
        refined: an earlier answer was refined.
        encoded: the image was encoded for this answer.
        seconds: that it took, waiting for other requests included.
    """

    mask: np.ndarray
    predicted_iou: float
    refined: bool
    encoded: bool
    seconds: float


class ClickEngine:
    """Answer prompts of many users on one pool of networks.

    Args:
        pool: of networks.
        cache: of embeddings.
        sessions: of users.

    Example:
        >>> engine = ClickEngine(NetworkPool(), EmbeddingCache(2**29), SessionStore())  # doctest: +SKIP
        >>> session = engine.open(lambda: read_colour_image("angiogram.png").pixels)  # doctest: +SKIP
        >>> engine.click(session, ObjectPrompt("stenosis", points=((251, 180, 1),))).mask.sum()  # doctest: +SKIP
    """

    def __init__(self, pool: NetworkPool, cache: EmbeddingCache, sessions: SessionStore) -> None:
        self.pool, self.cache, self.sessions = pool, cache, sessions

    def open(self, read: Callable[[], np.ndarray]) -> str:
        """Open a session on an image and return its name.

        Args:
            read: reads the pixels, (H, W, 3) from 0 to 1, now and when the embedding is no longer in the cache.
        """
        pixels = read()
        return self.sessions.open(ClickSession(image_key(pixels), read, pixels.shape[:2]))

    def prepare(self, session: str, network: str | None = None) -> bool:
        """Encode a session's image before the first click; return whether it had to be encoded."""
        with self.sessions.use(session) as opened:
            _, encoded = self._embedding(self.pool.get(network), opened.image, opened.read)
            return encoded

    def click(self, session: str, prompt: ObjectPrompt, network: str | None = None) -> ClickAnswer:
        """Return the mask of an object for all its prompts so far.

        A prompt that adds points to the last one of the object, with the same network, refines the last mask.

        Raises:
            SessionExpired: no such session.
            KeyError: no such network.
            ImageChanged: the image was replaced since the session was opened.
            ValueError: a prompt that does not fit the image.
        """
        begun = time.perf_counter()
        with self.sessions.use(session) as opened:
            served = self.pool.get(network)
            embedding, encoded = self._embedding(served, opened.image, opened.read)
            version = f"{served.name} {served.identity}"  # logits of an older version are not refined
            previous = opened.previous(version, prompt)
            with served.decode_lock:
                logits, iou = answer_prompt(served.network, embedding, prompt, previous)
            opened.remember(version, prompt, logits)
            mask = (logits[0, 0] > 0).cpu().numpy()
            return ClickAnswer(mask, iou, previous is not None, encoded, time.perf_counter() - begun)

    def segment(
        self, pixels: np.ndarray, prompts: Sequence[ObjectPrompt], network: str | None = None
    ) -> list[SegmentedObject]:
        """Segment each prompted object of an image without a session, for clients that keep no state.

        Equal to :func:`monai_lora_sam.prompting.segment_image`, with the embedding from the cache.
        """
        served = self.pool.get(network)
        embedding, _ = self._embedding(served, image_key(pixels), lambda: pixels)
        found = []
        for prompt in prompts:
            with served.decode_lock:
                logits, iou = answer_prompt(served.network, embedding, prompt)
            found.append(SegmentedObject(prompt, (logits[0, 0] > 0).cpu().numpy(), iou))
        return found

    def segment_volume(
        self,
        pixels: np.ndarray,
        prompts: Sequence[ObjectPrompt],
        network: str | None = None,
        slices: tuple[int, int] | None = None,
    ) -> list[SegmentedObject]:
        """Segment objects of a volume slice by slice; arguments as of :func:`~monai_lora_sam.prompting.segment_volume`.

        The embeddings of slices come from the cache too.
        """
        cached = CachedNetwork(self.pool.get(network), self.cache)
        return segment_volume(cached, pixels, prompts, slices)  # type: ignore[arg-type]

    def _embedding(
        self, served: ServedNetwork, image: str, read: Callable[[], np.ndarray]
    ) -> tuple[ImageEmbedding, bool]:
        encoded = False

        def compute() -> ImageEmbedding:
            nonlocal encoded
            encoded = True
            pixels = read()
            if image_key(pixels) != image:
                raise ImageChanged("expected the image as it was opened, found another one: open it again")
            with served.encode_lock:
                return encode_pixels(served.network, pixels)

        return self.cache.get((image, served.identity), compute), encoded


class CachedNetwork:
    """Call a served network like any promptable network, with embeddings from a cache.

    Args:
        served: the network.
        cache: of embeddings.
    """

    def __init__(self, served: ServedNetwork, cache: EmbeddingCache) -> None:
        self.served, self.cache = served, cache
        self.stack, self.parameters = served.network.stack, served.network.parameters

    def __call__(self, image: Tensor, **prompts: Any) -> PromptedMasks:
        """Return the masks for prompts on a normalised image (1, 3, H, W)."""

        def compute() -> ImageEmbedding:
            with self.served.encode_lock, torch.inference_mode():
                return self.served.network.encode(image)

        key = f"normalised {image_key(image.cpu().numpy())}"
        embedding = self.cache.get((key, self.served.identity), compute)
        with self.served.decode_lock, torch.inference_mode():
            return self.served.network.decode(embedding, **prompts)


def image_key(pixels: np.ndarray) -> str:
    """Return the SHA-256 of an image's pixels, their type and their shape."""
    digest = hashlib.sha256(f"{pixels.dtype}|{pixels.shape}|".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
