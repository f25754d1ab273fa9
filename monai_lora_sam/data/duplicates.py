"""Find duplicates of an image by its pixels, also compressed or scaled another way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from skimage.transform import resize_local_mean

THUMBNAIL_SIDE = 32
# Smallest correlation of two duplicates' thumbnails: re-encoded duplicates in a public data set of X-ray frames
# correlate above 0.9999, two frames of one run below 0.998.
DUPLICATE_CORRELATION = 0.9995


@dataclass(frozen=True)
class ImageSignature:
    """Hold a hash of an image's pixels and its thumbnail of mean 0 and norm 1."""

    pixel_hash: str
    thumbnail: np.ndarray


def pixel_hash(pixels: np.ndarray) -> str:
    """Return a hash of grey pixels and their shape, independent of the file format.

    Args:
        pixels: (H, W) in 0..1, as `read_image` gives them (grey and grey repeated in RGB are the same).
    """
    # Eight bits: a duplicate saved as 8-bit PNG and one saved as float differ by less than half a grey level.
    grey = np.round(np.asarray(pixels, dtype=np.float64) * 255).astype(np.uint8)
    return hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest()


def image_signature(pixels: np.ndarray) -> ImageSignature:
    """Return the signature of (H, W) pixels in 0..1."""
    thumbnail = resize_local_mean(pixels, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)).astype(np.float64).ravel()
    thumbnail -= thumbnail.mean()
    norm = np.linalg.norm(thumbnail)
    return ImageSignature(pixel_hash(pixels), thumbnail / norm if norm > 1e-6 else np.zeros_like(thumbnail))


def duplicate_groups(signatures: Sequence[ImageSignature]) -> list[str]:
    """Return the name of each image's group of duplicates; duplicates of one image have equal names.

    Duplicates have equal pixels, or thumbnails that correlate above 0.9995: the same frame compressed or scaled
    another way. The name is the smallest pixel hash in the group, so it does not depend on the order.

    Example:
        >>> names = duplicate_groups([image_signature(pixels) for pixels in images])
        >>> len(images) - len(set(names))  # number of images that duplicate another
        2
    """
    if not signatures:
        return []
    thumbnails = np.stack([signature.thumbnail for signature in signatures])
    hashes = np.array([signature.pixel_hash for signature in signatures])
    same = (thumbnails @ thumbnails.T > DUPLICATE_CORRELATION) | (hashes[:, None] == hashes)
    groups = connected_components(csr_array(same), directed=False)[1]
    names = {group: str(min(hashes[groups == group].tolist())) for group in set(groups.tolist())}
    return [names[group] for group in groups.tolist()]
