"""Choose the image to label next."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from label_app.serving_state import ServingState, is_flat

#: Images that one call scores anew, a second or less each: a call stays short.
NEW_SCORES = 16


class Uncertainty(Strategy):
    """Choose the unlabelled angiogram whose vessel map is the most uncertain.

    MONAI Label's own uncertainty needs dropout at inference, which LoRA adapters do not have. Here the score is the
    entropy of the vessel map, in bits for each pixel of expected vessel. A call scores up to `NEW_SCORES` images anew,
    drawn at random; scores are kept as long as the server lives.

    Args:
        state: of the server.
    """

    def __init__(self, state: ServingState) -> None:
        super().__init__("The image whose vessels are the most uncertain")
        self.state = state
        self._scores: dict[str, tuple[Any, float]] = {}  # by image, with the stamp of its file

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        images = datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels"))
        paths = {image: Path(datastore.get_image_uri(image)) for image in images}
        paths = {image: path for image, path in paths.items() if path.is_file() and is_flat(path)}
        if not paths:
            return None
        stamps = {image: (path.stat().st_mtime_ns, path.stat().st_size) for image, path in paths.items()}
        missing = [image for image in paths if self._scores.get(image, (None, 0))[0] != stamps[image]]
        for image in random.sample(missing, min(NEW_SCORES, len(missing))):
            try:
                score = map_uncertainty(self.state.kept_vessels(paths[image]))
            except ValueError:
                score = -1.0  # an image that cannot be read comes last
            self._scores[image] = stamps[image], score
        known = {image: self._scores[image][1] for image in paths if image in self._scores}
        best = max(sorted(known), key=lambda image: known[image])
        return {"id": best, "weight": round(known[best], 6)}


def map_uncertainty(probability: np.ndarray) -> float:
    """Return the entropy of a vessel map (H, W) in bits for each pixel of expected vessel.

    Example:
        >>> map_uncertainty(np.array([[0.5, 0.5]])), map_uncertainty(np.array([[1.0, 0.0]]))
        (2.0, 0.0)
    """
    p = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)).sum()
    return round(float(entropy / max(p.sum(), 1.0)), 5)
