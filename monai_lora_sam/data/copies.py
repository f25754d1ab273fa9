"""Find copies of one image by its pixels, re-encoded ones too."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from skimage.transform import resize_local_mean

THUMBNAIL_SIDE = 32
# Re-encoded copies in ARCADE correlate above 0.9999, two frames of one run below 0.998.
COPY_CORRELATION = 0.9995


@dataclass(frozen=True)
class ImageSignature:
    """Hold what images are compared by: a hash of the pixels and a thumbnail of mean 0 and norm 1."""

    pixel_hash: str
    thumbnail: np.ndarray


def pixel_hash(pixels: np.ndarray) -> str:
    """Return a hash of grey pixels and their shape, whatever file they are stored in.

    Args:
        pixels: (H, W) in 0..1, as `read_image` gives them (grey and grey repeated in RGB are the same).
    """
    # Eight bits: a copy saved as 8-bit PNG and one saved as float differ by less than half a grey level.
    grey = np.round(np.asarray(pixels, dtype=np.float64) * 255).astype(np.uint8)
    return hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest()


def image_signature(pixels: np.ndarray) -> ImageSignature:
    """Return the signature of (H, W) pixels in 0..1."""
    thumbnail = resize_local_mean(pixels, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)).astype(np.float64).ravel()
    thumbnail -= thumbnail.mean()
    norm = np.linalg.norm(thumbnail)
    return ImageSignature(pixel_hash(pixels), thumbnail / norm if norm > 1e-6 else np.zeros_like(thumbnail))


def copy_groups(signatures: Sequence[ImageSignature]) -> list[str]:
    """Name, for each image, the group of copies it belongs to: equal names, copies of one image.

    Copies have equal pixels, or thumbnails that correlate above 0.9995: the same frame compressed or scaled
    another way. The name is the smallest pixel hash in the group, so it does not depend on the order.

    Example:
        >>> names = copy_groups([image_signature(pixels) for pixels in images])
        >>> len(images) - len(set(names))  # how many are copies of another
        2
    """
    if not signatures:
        return []
    thumbnails = np.stack([signature.thumbnail for signature in signatures])
    hashes = np.array([signature.pixel_hash for signature in signatures])
    same = (thumbnails @ thumbnails.T > COPY_CORRELATION) | (hashes[:, None] == hashes)
    groups = connected_components(csr_array(same), directed=False)[1]
    names = {group: str(min(hashes[groups == group].tolist())) for group in set(groups.tolist())}
    return [names[group] for group in groups.tolist()]
