"""Augment angiograms and vessel maps together."""

from __future__ import annotations

from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    RandAdjustContrastd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSharpend,
    RandGaussianSmoothd,
    RandRotate90d,
    RandRotated,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandWeightedCropd,
    RandZoomd,
)


def map_augmentation(window: int, side: int) -> Compose:
    """Return MONAI transforms that crop and change the keys `image` and `maps`.

    Maps are interpolated, exact labels too, so that widths keep their fractions of a pixel.

    Args:
        window: side in px of the crop before zoom and rotation; its middle is drawn by the weights under `middle`.
        side: side in px of the crop after them.

    Example:
        >>> augment = map_augmentation(336, 224)
    """
    both = ("image", "maps")
    return Compose(
        [
            RandWeightedCropd(both, w_key="middle", spatial_size=(window, window), num_samples=1),
            # Angiograms have 512 to 1024 pixels a side, and fields of view of 15 to 30 cm.
            RandZoomd(
                both,
                prob=0.5,
                min_zoom=0.68,
                max_zoom=2.0,
                mode="bilinear",
                align_corners=False,
                keep_size=False,
            ),
            RandRotated(both, prob=0.3, range_x=0.4, mode="bilinear", padding_mode="reflection"),
            CenterSpatialCropd(both, roi_size=(side, side)),
            RandFlipd(both, prob=0.5, spatial_axis=0),
            RandFlipd(both, prob=0.5, spatial_axis=1),
            RandRotate90d(both, prob=0.5),
            RandAdjustContrastd("image", prob=0.5, gamma=(0.6, 1.6)),
            RandScaleIntensityd("image", prob=0.3, factors=0.3),
            RandShiftIntensityd("image", prob=0.3, offsets=0.1),
            RandGaussianSmoothd("image", prob=0.15, sigma_x=(0.3, 1.2), sigma_y=(0.3, 1.2)),
            RandGaussianSharpend(
                "image",
                prob=0.15,
                sigma1_x=(0.5, 1.0),
                sigma1_y=(0.5, 1.0),
                sigma2_x=0.5,
                sigma2_y=0.5,
                alpha=(1.0, 5.0),
            ),
            RandGaussianNoised("image", prob=0.3, std=0.05),
        ]
    )
