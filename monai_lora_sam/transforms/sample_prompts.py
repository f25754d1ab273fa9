"""Draw points and boxes from masks, as annotators and published protocols would give them.

Masks are (H, W) bool. Prompts are float32 in pixels of the image, as (x, y) and (x0, y0, x1, y1), the form that
:class:`monai_lora_sam.networks.PromptableSegmenter` takes. Whatever is random comes from the generator that is given.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Points = NDArray[np.float32]
Box = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Pixels that touch at a corner belong to one region.
EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def tight_box(mask: Mask) -> Box:
    """Return the smallest and the largest coordinates of an object.

    The largest are those of the last pixel itself, as in COSMOS-1050K. A side of one pixel gets length 1, so that the
    box has an area.

    Args:
        mask: (H, W) bool.

    Returns:
        (4,), x0, y0, x1, y1.

    Raises:
        ValueError: not a mask, or an empty one.

    Example:
        >>> mask = np.zeros((9, 9), bool)
        >>> mask[2:5, 1:8] = True
        >>> tight_box(mask).tolist()
        [1.0, 2.0, 7.0, 4.0]
    """
    rows, columns = _pixels(mask)
    x0, y0 = columns.min(), rows.min()
    return np.array([x0, y0, max(columns.max(), x0 + 1), max(rows.max(), y0 + 1)], np.float32)


def shifted_box(mask: Mask, pixels: float, generator: np.random.Generator) -> Box:
    """Return the tight box moved as a whole by a distance in a random direction.

    All directions are equally likely. The parts of the moved box outside the image are cut off; a box that would
    leave the image altogether keeps one pixel at its border.

    Args:
        mask: (H, W) bool.
        pixels: distance in pixels.
        generator: source of the direction.

    Returns:
        (4,), x0, y0, x1, y1.

    Raises:
        ValueError: not a mask, an empty one, or a negative distance.
    """
    if pixels < 0:
        raise ValueError(f"pixels: expected 0 or more, found {pixels}")
    angle = generator.uniform(0, 2 * np.pi)
    move = pixels * np.array([np.cos(angle), np.sin(angle)])
    return _inside(tight_box(mask) + np.tile(move, 2), mask.shape)


def jittered_box(mask: Mask, share: float, generator: np.random.Generator) -> Box:
    """Return the tight box as a hurried annotator would draw it: moved as a whole, and each side a little.

    Both moves are uniform, up to a share of the box's own width and height: the whole by `share`, each side by half of
    it. The box is cut off at the image.

    Args:
        mask: (H, W) bool.
        share: of the box's sides, 0 to 1.
        generator: source of the moves.

    Returns:
        (4,), x0, y0, x1, y1.

    Raises:
        ValueError: not a mask, an empty one, or a share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected 0 to 1, found {share}")
    box = tight_box(mask).astype(float)
    sides = box[2:] - box[:2]
    whole = np.tile(generator.uniform(-share, share, 2), 2)
    return _inside(
        box + (whole + generator.uniform(-share / 2, share / 2, 4)) * np.tile(sides, 2), mask.shape
    )


def enlarged_box(box: ArrayLike, pixels: ArrayLike, size: tuple[int, int]) -> Box:
    """Return a box whose sides are moved outwards, within the image.

    Args:
        box: (4,), x0, y0, x1, y1.
        pixels: distance in pixels for all sides, or (left, top, right, bottom).
        size: height and width of the image.

    Returns:
        (4,), x0, y0, x1, y1.

    Raises:
        ValueError: a box of another shape, or a negative distance.

    Example:
        >>> enlarged_box([1, 2, 7, 4], 3, (9, 9)).tolist()
        [0.0, 0.0, 9.0, 7.0]
    """
    corners = np.asarray(box, float)
    if corners.shape != (4,):
        raise ValueError(f"box: expected the shape (4,), found {corners.shape}")
    outwards = np.broadcast_to(np.asarray(pixels, float), 4)
    if not (outwards >= 0).all():
        raise ValueError(f"pixels: expected 0 or more, found {outwards.tolist()}")
    return _inside(corners + outwards * [-1, -1, 1, 1], size)


def centre_point(mask: Mask) -> Points:
    """Return a central pixel of an object, always inside it.

    That is the centroid if it lies in the object, else (for a ring) the pixel farthest from the object's border.

    Args:
        mask: (H, W) bool.

    Returns:
        (2,), x, y.

    Raises:
        ValueError: not a mask, or an empty one.

    Example:
        >>> mask = np.zeros((9, 9), bool)
        >>> mask[2:5, 1:8] = True
        >>> centre_point(mask).tolist()
        [4.0, 3.0]
    """
    centre = _centroid(mask)
    return centre if mask[int(centre[1]), int(centre[0])] else _deepest_pixel(mask)


def random_points(mask: Mask, count: int, generator: np.random.Generator) -> Points:
    """Draw pixels of an object, each at most once where the object has enough of them.

    Args:
        mask: (H, W) bool.
        count: number of points.
        generator: source of the choice.

    Returns:
        (count, 2), each x, y.

    Raises:
        ValueError: not a mask, an empty one, or a count below 1.
    """
    return _draw(*_pixels(mask), count, generator)


def protocol_points(mask: Mask, count: int) -> Points:
    """Return the foreground points of the COSMOS-1050K protocol.

    The centroid comes first, which may lie outside a ring; then foreground pixels in equal steps of n / count in row
    order, n being the object's number of pixels.

    Args:
        mask: (H, W) bool.
        count: number of points, the centroid included.

    Returns:
        (count, 2), each x, y.

    Raises:
        ValueError: not a mask, an empty one, or a count below 1.
    """
    _check_count(count)
    rows, columns = _pixels(mask)
    steps = np.arange(1, count) * len(rows) // count
    others = np.stack([columns[steps], rows[steps]], axis=1)
    return np.concatenate([_centroid(mask)[None], others]).astype(np.float32)


def background_points(mask: Mask, count: int, generator: np.random.Generator) -> Points:
    """Draw pixels beside an object: in its tight box enlarged twofold about its centre, outside the object.

    Args:
        mask: (H, W) bool.
        count: number of points.
        generator: source of the choice.

    Returns:
        (count, 2), each x, y.

    Raises:
        ValueError: not a mask, an empty one, one that fills the enlarged box, or a count below 1.
    """
    x0, y0, x1, y1 = tight_box(mask)
    half = np.array([x1 - x0, y1 - y0]) / 2
    left, top, right, bottom = enlarged_box((x0, y0, x1, y1), np.tile(half, 2), mask.shape)
    near = np.zeros_like(mask)
    near[int(np.floor(top)) : int(np.ceil(bottom)) + 1, int(np.floor(left)) : int(np.ceil(right)) + 1] = True
    rows, columns = np.nonzero(near & ~mask)
    if not len(rows):
        raise ValueError("mask: expected background in the box enlarged twofold, found none")
    return _draw(rows, columns, count, generator)


def next_click(truth: Mask, prediction: Mask) -> tuple[Points, int] | None:
    """Return the click that a user would give next: the centre of the largest error.

    The largest connected region that is missed or false (pixels at a corner connected) is corrected at its pixel
    farthest from the region's border; the image's edge is a border.

    Args:
        truth, prediction: (H, W) bool.

    Returns:
        (x, y), (2,), and its label: 1 in a missed region, 0 in a false one; None where the masks are equal.

    Raises:
        ValueError: not masks, or of different sizes.

    Example:
        >>> truth = np.zeros((9, 9), bool)
        >>> truth[2:5, 1:8] = True
        >>> point, label = next_click(truth, np.zeros((9, 9), bool))
        >>> int(point[1]), label
        (3, 1)
    """
    _check_mask(truth, "truth")
    _check_mask(prediction, "prediction")
    if truth.shape != prediction.shape:
        raise ValueError(f"prediction: expected the shape {truth.shape}, found {prediction.shape}")
    found = []
    for error, label in ((truth & ~prediction, 1), (prediction & ~truth, 0)):
        regions, count = ndimage.label(error, EIGHT_NEIGHBOURS)
        if count:
            sizes = np.bincount(regions.ravel())[1:]
            found.append((int(sizes.max()), label, regions == sizes.argmax() + 1))
    if not found:
        return None
    _, label, region = max(found, key=lambda candidate: candidate[0])
    return _deepest_pixel(region), label


def _deepest_pixel(mask: Mask) -> Points:
    """Return the pixel (x, y) farthest from the border of a mask, the image's edge being a border."""
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(distance.argmax(), mask.shape)
    return np.array([column, row], np.float32)


def _centroid(mask: Mask) -> Points:
    """Return the pixel (x, y) nearest to the mean of a mask's pixels."""
    rows, columns = _pixels(mask)
    return np.array([np.round(columns.mean()), np.round(rows.mean())], np.float32)


def _draw(
    rows: NDArray[np.intp], columns: NDArray[np.intp], count: int, generator: np.random.Generator
) -> Points:
    _check_count(count)
    chosen = generator.choice(len(rows), count, replace=count > len(rows))
    return np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.float32)


def _inside(box: NDArray[np.floating], size: tuple[int, ...]) -> Box:
    """Cut a box off at the borders of an image, leaving at least one pixel of it."""
    limit = np.array([size[1], size[0]], float)
    low = np.clip(box[:2], 0, limit - 1)
    high = np.clip(box[2:], low + 1, limit)
    return np.concatenate([low, high]).astype(np.float32)


def _pixels(mask: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of a mask's pixels in row order."""
    _check_mask(mask)
    rows, columns = np.nonzero(mask)
    if not len(rows):
        raise ValueError(f"mask: expected an object of at least one pixel, found none in {mask.shape}")
    return rows, columns


def _check_mask(mask: Mask, name: str = "mask") -> None:
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.dtype != bool:
        shape, dtype = getattr(mask, "shape", "no shape"), getattr(mask, "dtype", type(mask).__name__)
        raise ValueError(f"{name}: expected (height, width) of bool, found {shape} of {dtype}")


def _check_count(count: int) -> None:
    if count < 1:
        raise ValueError(f"count: expected 1 or more, found {count}")
