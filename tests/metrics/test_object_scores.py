"""Scores of one object against analytic values, scikit-image, and MONAI on the whole image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import binary_erosion
from skimage.metrics import hausdorff_distance

from monai_lora_sam.metrics import OBJECT_SCORES, object_scores


def square(row: int, column: int, side: int = 10, shape: tuple[int, int] = (60, 70)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[row : row + side, column : column + side] = True
    return mask


def blobs(seed: int, shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    """Draw random blocks, some of them at the edge."""
    coarse = np.random.default_rng(seed).random((shape[0] // 10, shape[1] // 10)) < 0.3
    return np.kron(coarse, np.ones((10, 10))).astype(bool)


def test_a_shifted_square_has_its_analytic_scores() -> None:
    scores = object_scores(square(20, 25), square(20, 20))
    assert scores["dice"] == pytest.approx(0.5)
    assert scores["jaccard"] == pytest.approx(1 / 3)
    assert scores["hd_px"] == scores["hd95_px"] == 5
    assert 0 < scores["asd_px"] < 5


def test_equal_masks_are_perfect() -> None:
    mask = square(0, 0)
    assert list(object_scores(mask, mask).values()) == [1, 1, 0, 0, 0, 1]


def test_surface_dice_allows_the_tolerance() -> None:
    moved, truth = square(20, 22), square(20, 20)
    assert object_scores(moved, truth, tolerance_px=2)["nsd"] == 1
    assert object_scores(moved, truth, tolerance_px=1)["nsd"] < 1


def test_hausdorff_distance_is_that_of_scikit_image() -> None:
    for seed in range(10):
        one, other = blobs(seed), blobs(seed + 100)
        edges = [mask ^ binary_erosion(mask) for mask in (one, other)]
        assert object_scores(one, other)["hd_px"] == pytest.approx(hausdorff_distance(*edges))


def test_cropping_changes_nothing() -> None:
    for seed in range(10):
        one, other = blobs(seed), blobs(seed + 100)
        whole = [torch.from_numpy(mask)[None, None].float() for mask in (one, other)]
        scores = object_scores(one, other)
        expected = {
            "hd_px": compute_hausdorff_distance(*whole, include_background=True),
            "hd95_px": compute_hausdorff_distance(*whole, include_background=True, percentile=95),
            "asd_px": compute_average_surface_distance(*whole, include_background=True, symmetric=True),
            "nsd": compute_surface_dice(*whole, [2.0], include_background=True),
        }
        for name, score in expected.items():
            assert scores[name] == pytest.approx(float(score)), name
        assert scores["dice"] == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()))
        assert scores["jaccard"] == pytest.approx((one & other).sum() / (one | other).sum())


def test_an_empty_prediction_has_no_distances_and_scores_zero() -> None:
    truth = square(20, 20)
    scores = object_scores(np.zeros_like(truth), truth)
    assert set(scores) == set(OBJECT_SCORES)
    assert scores["dice"] == scores["jaccard"] == scores["nsd"] == 0
    assert all(math.isnan(scores[name]) for name in ("hd_px", "hd95_px", "asd_px"))


def test_bad_masks_are_refused() -> None:
    truth = square(20, 20)
    with pytest.raises(ValueError, match="truth: expected an object, found an empty mask"):
        object_scores(truth, np.zeros_like(truth))
    with pytest.raises(ValueError, match=r"prediction: expected \(60, 70\) of bool, found \(59, 70\)"):
        object_scores(truth[1:], truth)
    with pytest.raises(ValueError, match=r"found \(60, 70\) of uint8"):
        object_scores(truth.astype(np.uint8), truth)
