from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import ConfusionMatrixMetric

from monai_lora_sam.coronary.metrics import SegmentAccuracyMetric, SegmentMacroF1Metric, SegmentSetMetric


def _images() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Two images of different sizes: by hand, 5 of 8 vessel pixels right."""
    true = [torch.tensor([[[0, 5, 5, 5, 6, 6]]]), torch.tensor([[[7, 7, 7], [0, 0, 0]]])]
    predicted = [torch.tensor([[[0, 5, 5, 6, 6, 0]]]), torch.tensor([[[7, 7, 8], [0, 7, 0]]])]
    return predicted, true


def test_by_hand_over_images_of_different_sizes():
    predicted, true = _images()
    accuracy, f1, rare = SegmentAccuracyMetric(), SegmentMacroF1Metric(), SegmentMacroF1Metric(classes=[7, 9])
    sets, exact = SegmentSetMetric(), SegmentSetMetric("exact_match")
    for metric in (accuracy, f1, rare, sets, exact):
        metric(y_pred=[MetaTensor(p) for p in predicted], y=true)
    assert accuracy.aggregate().item() == pytest.approx(5 / 8)
    expected = {5: 2 * 2 / (2 + 3), 6: 2 * 1 / (2 + 2), 7: 2 * 2 / (3 + 3), 8: 0.0}
    assert f1.aggregate().item() == pytest.approx(sum(expected.values()) / 4)
    assert rare.aggregate().item() == pytest.approx(expected[7])
    assert sets.aggregate().item() == pytest.approx((1 + 2 / 3) / 2)
    assert exact.aggregate().item() == 0.5
    values, support = f1.per_class()
    assert {c: values[c].item() for c in expected} == pytest.approx(expected)
    assert support[[5, 6, 7, 8]].tolist() == [3, 2, 3, 0]


def test_batches_add_up_and_reset_forgets():
    predicted, true = _images()
    together, apart = SegmentMacroF1Metric(), SegmentMacroF1Metric()
    together(y_pred=predicted, y=true)
    for p, t in zip(predicted, true, strict=True):
        apart(y_pred=p[None], y=t[None])
    assert apart.aggregate() == together.aggregate()
    apart.reset()
    with pytest.raises(ValueError, match="expected at least one prediction, found none"):
        apart.aggregate()


def test_per_class_f1_is_monais():
    generator = torch.Generator().manual_seed(0)
    predicted, true = torch.randint(0, 4, (2, 3, 1, 9, 9), generator=generator)
    metric = SegmentMacroF1Metric(class_count=4)
    metric(y_pred=predicted, y=true)
    monai = ConfusionMatrixMetric(include_background=True, metric_name="f1 score", reduction="sum_batch")

    def one_hot(x):
        return torch.nn.functional.one_hot(x[:, 0], 4).permute(0, 3, 1, 2)

    monai(y_pred=one_hot(predicted), y=one_hot(true))
    torch.testing.assert_close(metric.per_class()[0].float(), monai.aggregate()[0].float())


def test_in_an_engine_as_the_bundles_use_them():
    predicted, true = _images()
    engine = Engine(lambda _, batch: [{"pred": p, "label": t} for p, t in batch])
    for name, metric in (
        ("accuracy", SegmentAccuracyMetric()),
        ("f1", SegmentMacroF1Metric()),
        ("sets", SegmentSetMetric(minimum_area_px=1)),
    ):
        handler = IgniteMetricHandler(metric_fn=metric, output_transform=from_engine(["pred", "label"]))
        handler.attach(engine, name)
    state = engine.run([[pair] for pair in zip(predicted, true, strict=True)])
    assert state.metrics["accuracy"] == pytest.approx(5 / 8)
    assert state.metrics["sets"] == pytest.approx(5 / 6)
    assert isinstance(state.metrics["f1"], float)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"score: expected one of .* found 'dice'"):
        SegmentSetMetric("dice")
    with pytest.raises(ValueError, match="expected y, the true class indices, found None"):
        SegmentAccuracyMetric()(y_pred=torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match="prediction: expected whole class indices from 0 to 25"):
        SegmentAccuracyMetric()(y_pred=[torch.full((1, 4, 4), 26)], y=[torch.zeros(1, 4, 4)])
