"""Inference by the stages in the parts of a MONAI bundle: preprocessing, inferer, postprocessing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import torch
from monai.config import KeysCollection
from monai.inferers import Inferer, SimpleInferer, SlidingWindowInferer
from monai.transforms import (
    Activationsd,
    Compose,
    CopyItemsd,
    FlattenSubKeysd,
    Invertd,
    MapTransform,
    ToDeviced,
)
from torch import Tensor, nn

from monai_lora_sam.coronary.networks import LumenRefiner
from monai_lora_sam.coronary.pipeline.refine_map import refine_map
from monai_lora_sam.coronary.pipeline.stage_networks import StageNetworks
from monai_lora_sam.coronary.transforms import DecodeLesionsd, ViewToTensord, flip_view
from monai_lora_sam.encoders import ImageEncoder
from monai_lora_sam.inferers import MirrorInferer
from monai_lora_sam.transforms import GreyToThreeChannelsd, NormalizeForEncoderd, ResizeLongestSided


class LastStage(nn.Module):
    """Return the map of the last stage, one tensor as MONAI's tools expect of a network.

    :class:`StagesInferer` gets the outputs of all stages from the same network.

    Args:
        networks: the stages.

    Shapes:
        image: (B, 3, H, W), normalised for the encoder; view: (B, 2) degrees, NaN where unknown, or None.
        The result is (B, 1, H, W) vessel logits of one stage, (B, 26, H, W) segment logits of two, and the
        (B, 1, h, w) heatmap of lesions of three.
    """

    def __init__(self, networks: StageNetworks) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, image: Tensor, view: Tensor | None = None) -> Tensor:
        outputs = self.networks(image, view)
        if outputs.lesions is not None:
            return outputs.lesions["heatmap"]
        return outputs.vessels if outputs.segments is None else outputs.segments


class StagesInferer(Inferer):
    """Run all stages on an image, and return a dict of the outputs of each.

    Args:
        tiles: finds the vessels in windows of an image at its own size; None scales the whole image.
        flip: average the vessels with those of the mirror image.

    Example:
        >>> outputs = StagesInferer()(image, LastStage(networks), view=view)  # doctest: +SKIP
        >>> list(outputs)  # doctest: +SKIP
        ['vessels', 'segments', 'lesions']
    """

    def __init__(self, tiles: SlidingWindowInferer | None = None, flip: bool = False) -> None:
        super().__init__()
        self.tiles = tiles
        once = SimpleInferer() if tiles is None else tiles
        mirrored = {"view": partial(flip_view, horizontal=True, vertical=False)}
        self.finds_vessels = MirrorInferer(once, mirrored) if flip else tiles

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: LastStage, view: Tensor | None = None, picture: Tensor | None = None
    ) -> dict[str, Any]:
        """Return `vessels` and, of later stages, `segments` and `lesions`.

        Args:
            inputs: (B, 3, S, S), the images scaled into the encoder's square.
            network: the stages.
            view: (B, 2) degrees, NaN where unknown.
            picture: (B, 3, H, W), the images at their own size; expected with tiles.
        """
        networks = network.networks
        found: dict[str, Any] = {}
        if self.tiles is not None and picture is None:
            raise ValueError("tiles: expected the picture at its own size, found none")
        if self.finds_vessels is not None:
            seen = inputs if self.tiles is None or picture is None else picture
            found["vessels"] = self.finds_vessels(seen, networks.vessels, view=view)
            if networks.segments is None:
                return found
        outputs = networks(inputs, view)
        everything = {"vessels": outputs.vessels, "segments": outputs.segments, "lesions": outputs.lesions}
        return {name: value for name, value in everything.items() if value is not None} | found


class RefineVesselMapd(MapTransform):
    """Refine maps of vessel probability (1, H, W) at the angiogram's own size, from 0 to 1.

    Args:
        keys: of the maps.
        network: the refiner; None only clips the map to 0 and 1.
        image_key: of the angiogram, (1, H, W) from 0 to 1.
    """

    def __init__(
        self, keys: KeysCollection, network: LumenRefiner | None, image_key: str = "angiogram"
    ) -> None:
        super().__init__(keys)
        self.network, self.image_key = network, image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            found = torch.as_tensor(item[key]).as_subclass(Tensor)[0].cpu().numpy().clip(0.0, 1.0)
            if self.network is not None:
                pixels = item[self.image_key].as_subclass(Tensor)[0].cpu().numpy()
                found = refine_map(self.network, pixels, found)
            item[key] = torch.from_numpy(found)[None]
        return item


def stages_preprocessing(encoder: ImageEncoder, tiled: bool = False) -> Compose:
    """Return the transforms of an item with an `image` (1, H, W) from 0 to 1 and a `view`.

    The item gets `angiogram`, the image as it was, and with `tiled` also `picture`, the image at its own size,
    normalised for the encoder.
    """
    networks_read = ["image", "picture"] if tiled else ["image"]
    return Compose(
        [
            *(CopyItemsd(keys="image", names=name) for name in ("angiogram", *networks_read[1:])),
            ResizeLongestSided(keys="image", size=encoder.image_size),
            GreyToThreeChannelsd(keys=networks_read),
            NormalizeForEncoderd(keys=networks_read, encoder=encoder),
            ViewToTensord(keys="view"),
        ]
    )


def stages_postprocessing(
    preprocessing: Compose, refiner: LumenRefiner | None, score_threshold: float, tiled: bool = False
) -> Compose:
    """Return the transforms of what :class:`StagesInferer` put under `pred`, at the image's own size.

    The item gets `vessels` (1, H, W) and, of later stages, `segments` (26, H, W), both probabilities, and
    `lesions`, a list.
    """
    scaled = ["segments"] if tiled else ["vessels", "segments"]
    return Compose(
        [
            FlattenSubKeysd(keys="pred"),
            ToDeviced(keys=["vessels", "segments"], device="cpu", allow_missing_keys=True),
            Activationsd(keys="vessels", sigmoid=True),
            Activationsd(keys="segments", softmax=True, allow_missing_keys=True),
            Invertd(
                keys=scaled,
                transform=preprocessing,
                orig_keys="image",
                nearest_interp=False,
                allow_missing_keys=True,
            ),
            RefineVesselMapd(keys="vessels", network=refiner),
            DecodeLesionsd(keys="lesions", score_threshold=score_threshold, allow_missing_keys=True),
        ]
    )
