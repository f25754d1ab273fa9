"""Augment angiograms, cheaply enough for a laptop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandGaussianNoised,
    RandGaussianSmoothd,
)

from monai_lora_sam.coronary.transforms.rand_angiogram_flip import RandAngiogramFlipd
from monai_lora_sam.coronary.transforms.rand_branch_contrast import RandBranchContrastd
from monai_lora_sam.coronary.transforms.rand_implants import RandImplantsd


def angiogram_augmentation(
    image_key: str = "image",
    label_keys: Sequence[str] = ("label",),
    view_key: str = "view",
    flips: bool = True,
    implants: float = 0.0,
    weak_filling: float = 0.0,
) -> Compose:
    """Build the random transforms of angiograms in training.

    Flips with their view angles; rotation to 20 degrees, height scaled by up to 20 % and width by up to 25 % (in one
    interpolation, bilinear for the image, nearest for labels, zeros outside); gamma 0.7 to 1.5; blur to 1 pixel;
    noise to 4 % of full scale. All but the flip are MONAI's own, which has a deterministic twin of each (`Affined`,
    `AdjustContrastd`, `GaussianSmoothd`).

    Args:
        image_key: key of the (1, H, W) image in 0..1, before normalisation.
        label_keys: keys of the (1, H, W) labels that move with it.
        view_key: key of the view angles.
        flips: leave flips out for tasks where left and right matter.
        implants: probability of implants drawn into the image, see :class:`RandImplantsd`.
        weak_filling: probability that vessels of the first label lose contrast, see :class:`RandBranchContrastd`.

    Example:
        >>> augment = angiogram_augmentation().set_random_state(0)
        >>> augment({"image": torch.rand(1, 64, 64), "label": torch.ones(1, 64, 64)})["image"].shape
        torch.Size([1, 64, 64])
    """
    keys = (image_key, *label_keys)
    flip = [RandAngiogramFlipd(keys, view_key=view_key)] if flips else []
    # Without them the others draw what they drew before these existed.
    weak = [RandBranchContrastd(image_key, label_keys[0], weak_filling)] if weak_filling else []
    implanted = [RandImplantsd(image_key, implants)] if implants else []
    return Compose(
        [
            *weak,
            *implanted,
            *flip,
            RandAffined(
                keys,
                prob=0.8,
                rotate_range=float(np.deg2rad(20.0)),
                scale_range=(-0.2, 0.25),
                padding_mode="zeros",
                mode=["bilinear", *["nearest"] * len(label_keys)],
            ),
            RandAdjustContrastd(image_key, prob=0.5, gamma=(0.7, 1.5)),
            RandGaussianSmoothd(image_key, prob=0.1, sigma_x=(0.3, 1.0), sigma_y=(0.3, 1.0)),
            RandGaussianNoised(image_key, prob=0.25, std=0.04),
        ]
    )
