"""Scores of found phrases against scikit-learn's definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_lora_sam.metrics import PhraseScore


def test_scores_equal_their_definitions():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    images = [(generator.normal(size=n), generator.integers(0, 2, n)) for n in (1, 2, 3, 4, 2, 1)]
    scores = {name: PhraseScore(name) for name in ("f1", "false_alarms", "exact_match")}
    for presence, present in images:
        for score in scores.values():
            score.update((torch.from_numpy(presence), torch.from_numpy(present)))
    found = np.concatenate([presence > 0 for presence, _ in images])
    true = np.concatenate([present for _, present in images])
    assert scores["f1"].compute() == pytest.approx(metrics.f1_score(true, found))
    assert scores["false_alarms"].compute() == pytest.approx(1 - metrics.recall_score(1 - true, ~found))
    right = [((presence > 0) == present).all() for presence, present in images]
    assert scores["exact_match"].compute() == pytest.approx(np.mean(right))
    scores["f1"].reset()
    assert np.isnan(scores["f1"].compute())


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"score: expected one of .*, found 'recall'"):
        PhraseScore("recall")
    with pytest.raises(ValueError, match=r"one shape \(P,\), found \(2,\) and \(3,\)"):
        PhraseScore("f1").update((torch.zeros(2), torch.zeros(3)))
