"""Draw implants into angiograms as examples of what is no vessel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from torch import Tensor

from monai_lora_sam.coronary.phantom import draw_implants

#: Width in mm of the part of a patient that an angiogram shows.
FIELD_OF_VIEW_MM = (95.0, 150.0)
#: How much of their physical attenuation implants keep, so that faint ones are drawn too.
STRENGTH = (0.3, 1.0)


class RandImplantsd(RandomizableTransform, MapTransform):
    """Draw wires, leads, clips, catheters, cables and stents into an angiogram; labels stay as they are.

    An object of attenuation a leaves exp(-a) of the brightness above the image's darkest grey (its first percentile),
    as an absorber leaves of the beam. The objects are those of phantoms, see
    :func:`monai_lora_sam.coronary.phantom.draw_implants`.

    Args:
        keys: keys of (C, H, W) images in 0..1 with dark vessels, all changed alike.
        prob: probability of implants.
        allow_missing_keys: pass items that lack a key.

    Example:
        >>> draw = RandImplantsd("image", prob=1.0).set_random_state(0)
        >>> bool(draw({"image": torch.rand(1, 128, 128)})["image"].min() >= 0)
        True
    """

    def __init__(self, keys: KeysCollection, prob: float = 0.1, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.drawing_seed = 0
        self.field_of_view_mm = FIELD_OF_VIEW_MM[0]
        self.strength = 1.0

    def randomize(self, data: Any = None) -> None:
        super().randomize(None)
        if self._do_transform:
            self.drawing_seed = int(self.R.randint(2**31))
            self.field_of_view_mm = float(self.R.uniform(*FIELD_OF_VIEW_MM))
            self.strength = float(self.R.uniform(*STRENGTH))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        self.randomize()
        if self._do_transform:
            for key in self.key_iterator(item):
                item[key] = self._draw(item[key])
        return item

    def _draw(self, image: Tensor) -> Tensor:
        rows, columns = image.shape[-2:]
        spacing = self.field_of_view_mm / max(rows, columns)
        attenuation = draw_implants(np.random.default_rng(self.drawing_seed), (rows, columns), spacing)
        pixels = convert_to_numpy(image)
        darkest = np.percentile(pixels, 1)
        changed = darkest + (pixels - darkest) * np.exp(-self.strength * attenuation)
        return convert_to_dst_type(np.where(pixels > darkest, changed, pixels), image)[0]
