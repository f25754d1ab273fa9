"""Make pictures for reports: overlays, probability maps, outlines, data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation
from skimage.measure import approximate_polygon, find_contours

OUTLINE = (255, 212, 0)  # yellow: far from every grey
# From black over purple and orange to pale yellow, monotonous in lightness so that it survives a grey print.
HEAT = ((0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191))


def grey(image: np.ndarray) -> np.ndarray:
    """Turn an image (H, W) in 0..1 into uint8."""
    return np.rint(image * 255).astype(np.uint8)


def overlay(image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int] = OUTLINE) -> np.ndarray:
    """Draw the outline of a mask onto an image.

    The outline covers the pixels just outside the mask, so that a structure of two pixels stays visible within.

    Args:
        image: (H, W), 0..1.
        mask: (H, W), bool.
        colour: red, green, blue, 0..255.

    Returns:
        (H, W, 3) uint8, at the image's own size.
    """
    picture = np.repeat(grey(image)[..., None], 3, axis=2)
    picture[binary_dilation(mask, np.ones((3, 3))) & ~mask] = colour
    return picture


def heat(probability: np.ndarray) -> np.ndarray:
    """Colour a map (H, W) of values in 0..1 as (H, W, 3) uint8."""
    stops = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(probability, stops, channel) for channel in np.array(HEAT).T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def outline_path(mask: np.ndarray) -> str:
    """Return the outline of a mask as the `d` of an SVG path, in pixels (x, y) from the picture's corner."""
    pieces = []
    for contour in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
        # One off for the padding; half one on, since in SVG the middle of a pixel lies at a half.
        points = approximate_polygon(contour, 0.35) - 0.5
        pieces.append("M" + "L".join(f"{column:.1f} {row:.1f}" for row, column in points[:-1]) + "Z")
    return "".join(pieces)


def png(picture: np.ndarray) -> bytes:
    """Encode a picture (H, W) or (H, W, 3) of uint8."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Encode bytes as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
