from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from monai_lora_sam.coronary.metrics import (
    f1_per_class,
    macro_f1,
    rare_classes,
    segment_counts,
    segment_sets,
    set_exact_match,
    set_f1,
    vessel_accuracy,
)


def _random_maps(seed: int, images: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw true maps with few classes each, and predictions that are right in half of the pixels."""
    rng = np.random.default_rng(seed)
    true = np.stack([rng.choice(rng.choice(26, 5), (1, 20, 30)) for _ in range(images)])
    noise = np.stack([rng.choice(rng.choice(26, 4), (1, 20, 30)) for _ in range(images)])
    predicted = np.where(rng.random(true.shape) < 0.5, true, noise)
    return torch.from_numpy(predicted), torch.from_numpy(true)


def test_scores_agree_with_scikit_learn():
    predicted, true = _random_maps(0)
    counts = segment_counts(predicted, true)
    flat_true, flat_predicted = true.flatten().numpy(), predicted.flatten().numpy()
    present = sorted(set(flat_true) | set(flat_predicted))
    expected = f1_score(flat_true, flat_predicted, labels=present, average=None)
    values = f1_per_class(counts)
    np.testing.assert_allclose(values[present].numpy(), expected, rtol=1e-12)
    assert torch.isnan(values[[c for c in range(26) if c not in present]]).all()

    segments = [c for c in present if c]
    expected = f1_score(flat_true, flat_predicted, labels=segments, average="macro")
    assert macro_f1(counts).item() == pytest.approx(expected, rel=1e-12)
    some = segments[::2]
    expected = f1_score(flat_true, flat_predicted, labels=some, average="macro")
    assert macro_f1(counts, some).item() == pytest.approx(expected, rel=1e-12)

    vessel = flat_true > 0
    expected = (flat_true == flat_predicted)[vessel].mean()
    assert vessel_accuracy(counts).item() == pytest.approx(expected, rel=1e-12)


def test_set_scores_agree_with_scikit_learn():
    predicted, true = _random_maps(1)
    predicted[0], true[0] = true[1], true[1]  # One exact match.
    predicted[2] = true[2] = 0  # Nothing in either.
    predicted_sets, true_sets = segment_sets(segment_counts(predicted, true))
    expected = f1_score(true_sets.numpy(), predicted_sets.numpy(), average="samples", zero_division=1.0)
    assert set_f1(predicted_sets, true_sets).mean().item() == pytest.approx(expected, rel=1e-12)
    assert set_exact_match(predicted_sets, true_sets).tolist()[:3] == [
        1,
        float(set(predicted[1].unique().tolist()) - {0} == set(true[1].unique().tolist()) - {0}),
        1,
    ]


def test_a_segment_is_present_from_the_minimal_area_on():
    true = torch.zeros(1, 1, 10, 10, dtype=torch.int64)
    true[0, 0, 0] = 5
    predicted = true.clone()
    predicted[0, 0, 9, :3] = 6
    counts = segment_counts(predicted, true)
    assert set_f1(*segment_sets(counts)).item() == pytest.approx(2 / 3)
    assert set_f1(*segment_sets(counts, minimum_area_px=3)).item() == pytest.approx(2 / 3)
    assert set_f1(*segment_sets(counts, minimum_area_px=4)).item() == 1
    assert set_exact_match(*segment_sets(counts, minimum_area_px=4)).item() == 1


def test_one_hot_maps_count_as_their_indices():
    predicted, true = _random_maps(2)
    one_hot = torch.nn.functional.one_hot(predicted[:, 0], 26).permute(0, 3, 1, 2)
    expected = segment_counts(predicted, true)
    for given in (one_hot, one_hot.float(), one_hot.bool()):
        torch.testing.assert_close(segment_counts(given, true), expected)
    torch.testing.assert_close(segment_counts(predicted.float(), true.to(torch.uint8)), expected)


def test_no_vessel_and_no_class_are_nan():
    nothing = segment_counts(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    assert torch.isnan(vessel_accuracy(nothing)) and torch.isnan(macro_f1(nothing))


def test_rare_classes_by_share_of_images():
    present = [{0, 1, 2}, {1, 2}, {1}, {1, 3}]
    assert rare_classes(present, share=0.5, class_count=5) == [3, 4]
    assert rare_classes(present, share=0.51, class_count=5) == [2, 3, 4]
    assert rare_classes(present, share=0.0, class_count=5) == []


def test_bad_input_is_refused():
    good = torch.zeros(1, 1, 4, 4)
    with pytest.raises(
        ValueError, match=r"prediction: expected whole class indices from 0 to 25, found \[26.0\]"
    ):
        segment_counts(good + 26, good)
    with pytest.raises(ValueError, match=r"target: expected whole class indices from 0 to 25, found \[0.5\]"):
        segment_counts(good, good + 0.5)
    with pytest.raises(ValueError, match=r"target: expected whole class indices .* found \[nan"):
        segment_counts(good, good * float("nan"))
    with pytest.raises(ValueError, match=r"found \(1, 3, 4, 4\)"):
        segment_counts(torch.zeros(1, 3, 4, 4), good)
    with pytest.raises(ValueError, match="prediction: expected one-hot maps"):
        segment_counts(torch.rand(1, 26, 4, 4), good)
    with pytest.raises(ValueError, match=r"found prediction \(1, 1, 4, 4\) and target \(1, 1, 4, 5\)"):
        segment_counts(good, torch.zeros(1, 1, 4, 5))
    counts = segment_counts(good, good)
    with pytest.raises(ValueError, match=r"classes: expected numbers from 1 to 25, found \[0, 26\]"):
        macro_f1(counts, [0, 1, 26])
    with pytest.raises(ValueError, match="minimum_area_px: expected at least 1, found 0"):
        segment_sets(counts, 0)
    with pytest.raises(ValueError, match="at least one training image, found none"):
        rare_classes([])
    with pytest.raises(ValueError, match=r"expected classes from 0 to 25, found \[26\]"):
        rare_classes([{26}])
    with pytest.raises(ValueError, match="share: expected a number from 0 to 1, found 5"):
        rare_classes([{1}], share=5)
