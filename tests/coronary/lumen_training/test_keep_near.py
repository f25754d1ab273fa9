"""The transform that keeps a refined map near the vessels: the same as the pipeline's function."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_lora_sam.coronary.lumen_training import KeepNeard
from monai_lora_sam.coronary.pipeline import keep_near


def test_it_is_the_pipelines_function():
    probability = torch.zeros(1, 64, 64)
    probability[:, 30:34] = 1
    refined = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))
    item = {"pred": refined.clone(), "probability": probability, "case": "a"}
    kept = KeepNeard("pred")(item)
    np.testing.assert_array_equal(kept["pred"][0], keep_near(refined[0].numpy(), probability[0].numpy()))
    assert not kept["pred"][:, :20].any() and kept["case"] == "a"
    assert torch.equal(item["pred"], refined)


def test_a_missing_map_is_refused():
    with pytest.raises(KeyError, match="probability"):
        KeepNeard("pred")({"pred": torch.zeros(1, 8, 8)})
