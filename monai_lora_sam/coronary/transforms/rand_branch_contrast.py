"""Lower the contrast of parts of the labelled vessels, as where contrast agent fills them weakly."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from scipy.ndimage import convolve, distance_transform_edt, gaussian_filter, label
from skimage.morphology import skeletonize

#: Chance of each piece of a vessel between bifurcations to be weakened.
PIECE_PROBABILITY = 0.4
#: Share of its contrast that a weakened piece keeps.
KEPT = (0.2, 0.7)
#: The vessel's dark rim outside the mask that is weakened too, and the border that fades, in px.
RIM, FADE = 2.0, 3.0
#: Reach in px of the local background, and of the passage between neighbouring pieces.
BACKGROUND, PASSAGE = 8.0, 3.0
#: Size in px of the noise of angiograms, and of structures that are larger than it.
GRAIN, DETAIL = 0.7, 2.0


class RandBranchContrastd(RandomizableTransform, MapTransform):
    """Move random pieces of the labelled vessels towards their local background; the label stays as it is.

    A piece is the part of a vessel between two bifurcations. In a weakened one a share of 20 to 70 % of the contrast
    is left. The background is the mean of the image around the vessels. The change fades out within five pixels around
    the vessel and over a few between neighbouring pieces; the level of noise stays.

    Args:
        keys: keys of (C, H, W) images in 0..1, all changed alike.
        label_key: key of the (1, H, W) label; values above 0 are vessel.
        prob: probability of weak filling.
        allow_missing_keys: pass items that lack a key.

    Example:
        >>> image, mask = torch.ones(1, 32, 32), torch.zeros(1, 32, 32)
        >>> mask[:, 14:18] = 1
        >>> image[mask > 0] = 0.5
        >>> weak = RandBranchContrastd("image", prob=1.0).set_random_state(0)({"image": image, "label": mask})
        >>> bool(weak["image"][0, 16, 16] > 0.5)
        True
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_key: str = "label",
        prob: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.label_key = label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return item
        vessels = convert_to_numpy(item[self.label_key])[0] > 0
        if not vessels.any():
            return item
        distance, nearest = distance_transform_edt(~vessels, return_indices=True)
        loss = self._contrast_loss(vessels, distance, tuple(nearest))
        around = distance > RIM  # the background, without the vessels' blurred rims
        share = gaussian_filter(around.astype(np.float32), BACKGROUND)
        grain = gaussian_filter(self.R.standard_normal(vessels.shape).astype(np.float32), GRAIN)
        grain /= grain.std()
        for key in self.key_iterator(item):
            channels = [
                _towards_background(channel, loss, around, share, grain).clip(0, 1)
                for channel in convert_to_numpy(item[key])
            ]
            item[key] = convert_to_dst_type(np.stack(channels), item[key])[0]
        return item

    def _contrast_loss(
        self, vessels: np.ndarray, distance: np.ndarray, nearest: tuple[np.ndarray, ...]
    ) -> np.ndarray:
        """Return (H, W) the share of the contrast that is lost, 0 to 1.

        `distance` is that of each pixel from the vessels, `nearest` the place of the vessel's pixel next to it.
        """
        pieces, count = vessel_pieces(vessels)
        weak = self.R.random(count) < PIECE_PROBABILITY
        weak[self.R.randint(count)] = True
        lost = np.where(weak, 1 - self.R.uniform(*KEPT, count), 0.0)
        # From piece to piece over a few pixels; each pixel belongs to the nearest vessel.
        amount = np.where(vessels, np.concatenate([[0.0], lost])[pieces], 0.0).astype(np.float32)
        inside = np.maximum(gaussian_filter(vessels.astype(np.float32), PASSAGE), 1e-6)
        smooth = gaussian_filter(amount, PASSAGE) / inside
        return smooth[nearest] * np.clip(1 - (distance - RIM) / FADE, 0.0, 1.0)


def vessel_pieces(vessels: np.ndarray) -> tuple[np.ndarray, int]:
    """Divide a vessel mask at its bifurcations.

    Args:
        vessels: (H, W) bool.

    Returns:
        (H, W) int, the number of the piece from 1 on in each pixel of the mask, 0 outside; and how many there are.
    """
    line = skeletonize(vessels)
    neighbours = convolve(line.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant") - line
    eight = np.ones((3, 3), bool)
    pieces, count = label(line & (neighbours <= 2), eight)
    if not count:
        return np.where(vessels, 1, 0), int(vessels.any())
    nearest = distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
    return np.where(vessels, pieces[tuple(nearest)], 0), count


def _towards_background(
    channel: np.ndarray, loss: np.ndarray, around: np.ndarray, share: np.ndarray, grain: np.ndarray
) -> np.ndarray:
    """Return a channel (H, W) whose difference from its local background is multiplied by 1 - loss.

    The image's noise would be multiplied too, and smooth vessels give themselves away: `grain` (H, W), of deviation 1,
    makes up for it.
    """
    local = gaussian_filter(np.where(around, channel, 0.0).astype(np.float32), BACKGROUND)
    seen = share > 0.02
    background = np.where(seen, local / np.maximum(share, 0.02), channel)
    fine = np.abs(channel - gaussian_filter(channel, DETAIL))[around]
    noise = (
        1.4826 * np.median(fine) if fine.size else 0.0
    )  # the deviation, from the median, which edges do not move
    missing = noise * np.sqrt(1 - (1 - loss) ** 2)
    return channel + loss * (background - channel) + missing * grain
