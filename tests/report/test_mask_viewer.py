"""Truth and predictions on a picture."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.report import mask_viewer


def test_each_prediction_is_shown_with_the_truth() -> None:
    picture = np.zeros((20, 30, 3), np.uint8)
    masks = [np.zeros((20, 30), bool) for _ in range(3)]
    for index, mask in enumerate(masks):
        mask[2 + index : 10, 4:12] = True
    viewer = mask_viewer(picture, masks[0], {"after": masks[1], "before": masks[2]}, "caption")
    assert list(viewer.layers) == ["After", "Before", "Truth"] and viewer.caption == "caption"
    assert viewer.legend is not None and len(set(viewer.legend.values())) == 3
    for name in ("after", "before"):
        layer = viewer.layers[name.capitalize()]
        assert (
            viewer.legend["truth"] in layer
            and viewer.legend[name] in layer
            and 'viewBox="0 0 30 20"' in layer
        )
    assert viewer.legend["after"] not in viewer.layers["Truth"]


@pytest.mark.parametrize("count", [0, 4])
def test_one_to_three_predictions_are_expected(count: int) -> None:
    mask = np.ones((4, 4), bool)
    with pytest.raises(ValueError, match=f"expected 1 to 3 predictions, found {count}"):
        mask_viewer(np.zeros((4, 4), np.uint8), mask, {str(index): mask for index in range(count)})
