from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter
from skimage.morphology import skeletonize

from monai_lora_sam.metrics import CenterlineDiceMetric, centreline_dice


def _reference(prediction: np.ndarray, target: np.ndarray) -> float:
    """clDice as its authors publish it (github.com/jocpae/clDice, cldice_metric)."""

    def score(volume, skeleton):
        return np.sum(volume * skeleton) / np.sum(skeleton)

    precision = score(prediction, skeletonize(target))
    sensitivity = score(target, skeletonize(prediction))
    return 2 * precision * sensitivity / (precision + sensitivity)


def _tensor(*masks):
    return torch.from_numpy(np.stack(masks)[:, None].astype(np.uint8))


def test_random_vessel_like_masks_agree_with_the_authors_formula():
    rng = np.random.default_rng(0)
    predictions, targets, expected = [], [], []
    for _ in range(6):
        field = gaussian_filter(rng.standard_normal((80, 70)), 4)
        target = np.abs(field) < 0.02
        prediction = np.abs(field + 0.3 * gaussian_filter(rng.standard_normal((80, 70)), 4)) < 0.025
        predictions.append(prediction)
        targets.append(target)
        expected.append(_reference(prediction.astype(float), target.astype(float)))
    assert 0.3 < min(expected) < max(expected) < 0.999
    values = centreline_dice(_tensor(*predictions), _tensor(*targets))
    assert values.shape == (6, 1)
    np.testing.assert_allclose(values[:, 0].numpy(), expected, rtol=1e-6)


def test_half_a_line_by_hand():
    target = np.zeros((21, 100), dtype=bool)
    target[10] = True  # One pixel wide: its own skeleton, 100 pixels long.
    half = target.copy()
    half[:, 50:] = False
    # Precision 1 (all 50 predicted pixels on the line), sensitivity 0.5: harmonic mean 2/3.
    assert centreline_dice(_tensor(half), _tensor(target)).item() == pytest.approx(2 / 3)
    assert centreline_dice(_tensor(target), _tensor(half)).item() == pytest.approx(2 / 3)
    assert centreline_dice(_tensor(np.roll(target, 5, axis=0)), _tensor(target)).item() == 0


def test_width_does_not_count_but_continuity_does():
    target = np.zeros((40, 100), dtype=bool)
    target[16:25] = True
    thin = np.zeros_like(target)
    thin[19:22] = True
    assert centreline_dice(_tensor(thin), _tensor(target)).item() > 0.98
    interrupted = target.copy()
    interrupted[:, 40:60] = False
    assert centreline_dice(_tensor(interrupted), _tensor(target)).item() < 0.92


def test_empty_masks():
    line = np.zeros((20, 20), dtype=bool)
    line[10] = True
    nothing = np.zeros_like(line)
    predictions, targets = _tensor(nothing, line, nothing, line), _tensor(line, nothing, nothing, line)
    values = centreline_dice(predictions, targets)[:, 0]
    torch.testing.assert_close(values, torch.tensor([0, torch.nan, torch.nan, 1]), equal_nan=True)
    values = centreline_dice(predictions, targets, ignore_empty=False)[:, 0]
    torch.testing.assert_close(values, torch.tensor([0.0, 0, 1, 1]))


def test_metric_accumulates_over_batches_like_monais():
    line = np.zeros((20, 100), dtype=bool)
    line[10] = True
    half = line.copy()
    half[:, 50:] = False
    nothing = np.zeros_like(line)
    metric = CenterlineDiceMetric(get_not_nans=True)
    metric(y_pred=_tensor(line, half), y=_tensor(line, line))
    # As MONAI's engines give them: lists of (C, H, W), here with one image whose truth is empty.
    metric(y_pred=[MetaTensor(_tensor(line)[0]), _tensor(line)[0]], y=[_tensor(line)[0], _tensor(nothing)[0]])
    value, count = metric.aggregate()
    assert value.item() == pytest.approx((1 + 2 / 3 + 1) / 3)
    assert count.item() == 3
    assert metric.aggregate("none")[0].shape == (4, 1)
    metric.reset()
    with pytest.raises(ValueError, match="expected at least one prediction, found none"):
        metric.aggregate()


def test_bad_input_is_refused():
    mask = torch.ones(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"found prediction \(2, 1, 8, 8\) and target \(1, 1, 8, 8\)"):
        centreline_dice(mask, mask[:1])
    with pytest.raises(ValueError, match=r"prediction: expected 0 and 1 only, found values from 0.5"):
        centreline_dice(mask * 0.5, mask)
    with pytest.raises(ValueError, match="target: expected 0 and 1 only"):
        centreline_dice(mask, mask * float("nan"))
    with pytest.raises(ValueError, match="expected y, the true masks"):
        CenterlineDiceMetric()(y_pred=mask)
