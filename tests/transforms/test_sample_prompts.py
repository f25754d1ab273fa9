"""Points and boxes drawn from masks: analytic shapes, borders, seeds, random masks, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.draw import disk
from skimage.measure import label as label_regions
from skimage.measure import regionprops

from monai_lora_sam.networks import check_prompts
from monai_lora_sam.transforms import (
    background_points,
    centre_point,
    enlarged_box,
    next_click,
    protocol_points,
    random_points,
    shifted_box,
    tight_box,
)


def circle(row: int, column: int, radius: float, shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[disk((row, column), radius, shape=shape)] = True
    return mask


def ring() -> np.ndarray:
    return circle(20, 25, 15) & ~circle(20, 25, 9)


def random_masks(count: int = 40) -> list[np.ndarray]:
    """Masks of all sizes: single pixels, lines, blobs at the border, everything."""
    generator = np.random.default_rng(3)
    masks = [np.ones((7, 5), bool), np.ones((1, 1), bool)]
    while len(masks) < count:
        shape = tuple(generator.integers(2, 30, 2))
        mask = generator.random(shape) < generator.choice([0.01, 0.1, 0.5, 0.95])
        if mask.any():
            masks.append(mask)
    return masks


def holds(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    return mask[points[..., 1].astype(int), points[..., 0].astype(int)]


def assert_accepted(mask: np.ndarray, box: np.ndarray) -> None:
    assert box.dtype == np.float32
    check_prompts(1, *mask.shape, boxes=torch.from_numpy(box)[None, None])


def test_box_of_a_disc_has_the_pixels_extremes() -> None:
    mask = circle(20, 25, 10.5)
    rows0, columns0, rows1, columns1 = regionprops(label_regions(mask))[0].bbox  # Excludes the last pixel.
    assert tight_box(mask).tolist() == [columns0, rows0, columns1 - 1, rows1 - 1] == [15, 10, 35, 30]


@pytest.mark.parametrize("row,column", [(0, 0), (3, 4), (0, 4), (2, 2)])
def test_box_of_a_single_pixel_is_one_pixel_wide_and_high(row: int, column: int) -> None:
    mask = np.zeros((4, 5), bool)
    mask[row, column] = True
    assert tight_box(mask).tolist() == [column, row, column + 1, row + 1]
    assert_accepted(mask, tight_box(mask))


def test_shift_moves_the_whole_box_by_the_distance_in_every_direction() -> None:
    mask = circle(200, 200, 20, (400, 400))
    generator = np.random.default_rng(0)
    moves = np.array([shifted_box(mask, 20, generator) - tight_box(mask) for _ in range(400)])
    assert np.allclose(moves[:, :2], moves[:, 2:], atol=1e-3)
    assert np.allclose(np.hypot(moves[:, 0], moves[:, 1]), 20, atol=1e-3)
    assert np.abs(moves.mean(0)).max() < 3  # Directions cancel out: the standard error is 0.7.
    quadrants = (moves[:, 0] > 0) * 2 + (moves[:, 1] > 0)
    assert np.bincount(quadrants, minlength=4).min() > 60


def test_shift_out_of_the_image_leaves_a_pixel() -> None:
    mask = np.zeros((20, 20), bool)
    mask[0, 0] = True
    generator = np.random.default_rng(0)
    for _ in range(50):
        assert_accepted(mask, shifted_box(mask, 100, generator))


def test_shift_by_nothing_is_the_tight_box() -> None:
    assert shifted_box(ring(), 0, np.random.default_rng(0)).tolist() == tight_box(ring()).tolist()


def test_enlarged_box_moves_each_side_and_stops_at_the_image() -> None:
    assert enlarged_box([10, 12, 20, 22], 5, (40, 50)).tolist() == [5, 7, 25, 27]
    assert enlarged_box([10, 12, 20, 22], (1, 2, 3, 4), (40, 50)).tolist() == [9, 10, 23, 26]
    assert enlarged_box([1, 2, 48, 39], 5, (40, 50)).tolist() == [0, 0, 50, 40]


def test_centre_of_a_disc_is_its_centroid_and_of_a_ring_inside_it() -> None:
    assert centre_point(circle(20, 25, 10)).tolist() == [25, 20]
    x, y = centre_point(ring())
    assert holds(ring(), centre_point(ring()))
    assert np.hypot(x - 25, y - 20) == pytest.approx(12, abs=1)  # Half-way between the radii 9 and 15.


def test_protocol_points_start_with_the_centroid_even_outside_a_ring() -> None:
    points = protocol_points(ring(), 5)
    assert points.shape == (5, 2) and points[0].tolist() == [25, 20]
    assert not holds(ring(), points[0])
    assert holds(ring(), points[1:]).all()


def test_protocol_points_go_on_in_equal_steps_of_the_pixels_in_row_order() -> None:
    mask = np.zeros((10, 10), bool)
    mask[2:7, :] = True  # 50 pixels: every tenth starts a row.
    assert protocol_points(mask, 5)[1:].tolist() == [[0, 3], [0, 4], [0, 5], [0, 6]]


def test_random_points_lie_inside_and_differ() -> None:
    points = random_points(ring(), 30, np.random.default_rng(0))
    assert points.dtype == np.float32 and holds(ring(), points).all()
    assert len({tuple(point) for point in points.tolist()}) == 30


def test_background_points_lie_near_and_outside() -> None:
    mask = circle(20, 25, 5, (80, 90))
    points = background_points(mask, 200, np.random.default_rng(0))
    assert not holds(mask, points).any()
    x0, y0, x1, y1 = tight_box(mask)
    assert (points >= [x0 - (x1 - x0) / 2, y0 - (y1 - y0) / 2]).all()
    assert (points <= [x1 + (x1 - x0) / 2, y1 + (y1 - y0) / 2]).all()
    assert (points < [x0, y0]).any() and (points > [x1, y1]).any()


def test_seeds_are_reproducible() -> None:
    def draw(seed: int) -> list:
        generator = np.random.default_rng(seed)
        return [
            random_points(ring(), 4, generator).tolist(),
            background_points(ring(), 4, generator).tolist(),
            shifted_box(ring(), 5, generator).tolist(),
        ]

    assert draw(1) == draw(1)
    assert all(one != other for one, other in zip(draw(1), draw(2), strict=True))


def test_random_masks_always_give_prompts_that_the_network_takes() -> None:
    generator = np.random.default_rng(0)
    for mask in random_masks():
        for box in (
            tight_box(mask),
            shifted_box(mask, 20, generator),
            enlarged_box(tight_box(mask), 5, mask.shape),
        ):
            assert_accepted(mask, box)
        assert holds(mask, centre_point(mask))
        assert holds(mask, random_points(mask, 5, generator)).all()
        assert holds(mask, protocol_points(mask, 5)[1:]).all()
        points = torch.from_numpy(protocol_points(mask, 5))[None, None]
        check_prompts(1, *mask.shape, points=points, point_labels=torch.ones(1, 1, 5))
        if not mask.all():
            click = next_click(mask, ~mask)
            assert click is not None
            assert holds(mask, click[0]) == bool(click[1])


def test_first_click_is_the_centre_of_the_object() -> None:
    point, label = next_click(circle(20, 25, 10), np.zeros((40, 50), bool))  # type: ignore[misc]
    assert point.tolist() == [25, 20] and label == 1


def test_next_click_corrects_the_largest_error() -> None:
    truth = circle(20, 12, 8)
    click = next_click(truth, truth | circle(20, 38, 6))
    assert click is not None and click[0].tolist() == [38, 20] and click[1] == 0
    click = next_click(truth, circle(20, 38, 6))  # The missed disc is larger than the false one.
    assert click is not None and click[0].tolist() == [12, 20] and click[1] == 1
    assert next_click(truth, truth) is None


def test_next_click_keeps_off_the_edge_of_the_image() -> None:
    truth = np.zeros((30, 30), bool)
    truth[:, :11] = True  # Touches three edges: without a border there its farthest pixel is in column 0.
    click = next_click(truth, np.zeros_like(truth))
    assert click is not None and click[0][0] == 5 and 5 <= click[0][1] <= 24


def test_regions_that_touch_at_a_corner_are_one() -> None:
    truth = np.zeros((20, 20), bool)
    truth[:3, :3] = truth[3:6, 3:6] = True  # 18 pixels together, 9 each.
    truth[10:13, 10:14] = True  # 12 pixels.
    click = next_click(truth, np.zeros_like(truth))
    assert click is not None and click[0].tolist() in ([1, 1], [4, 4])


EMPTY = np.zeros((6, 7), bool)


@pytest.mark.parametrize(
    "sample",
    [
        tight_box,
        centre_point,
        lambda mask: shifted_box(mask, 3, np.random.default_rng(0)),
        lambda mask: random_points(mask, 3, np.random.default_rng(0)),
        lambda mask: background_points(mask, 3, np.random.default_rng(0)),
        lambda mask: protocol_points(mask, 3),
    ],
)
def test_empty_masks_and_other_arrays_are_refused(sample) -> None:
    with pytest.raises(ValueError, match=r"expected an object of at least one pixel, found none in \(6, 7\)"):
        sample(EMPTY)
    with pytest.raises(ValueError, match=r"expected \(height, width\) of bool, found \(6, 7\) of uint8"):
        sample(EMPTY.astype(np.uint8))


def test_other_bad_input_is_refused() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"expected background .* found none"):
        background_points(np.ones((4, 4), bool), 2, generator)
    with pytest.raises(ValueError, match="count: expected 1 or more, found 0"):
        protocol_points(ring(), 0)
    with pytest.raises(ValueError, match="count: expected 1 or more, found 0"):
        random_points(ring(), 0, generator)
    with pytest.raises(ValueError, match="pixels: expected 0 or more, found -1"):
        shifted_box(ring(), -1, generator)
    with pytest.raises(ValueError, match="pixels: expected 0 or more, found"):
        enlarged_box([1, 2, 3, 4], -1, (9, 9))
    with pytest.raises(ValueError, match=r"box: expected the shape \(4,\), found \(2,\)"):
        enlarged_box([1, 2], 1, (9, 9))
    with pytest.raises(ValueError, match=r"prediction: expected the shape \(6, 7\), found \(5, 7\)"):
        next_click(EMPTY, EMPTY[1:])
