"""SAM's encoder against transformers' own model and against positions resized by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers.models.sam.modeling_sam import SamVisionEncoder

from monai_lora_sam.encoders.sam import SamEncoder


def test_native_size_equals_transformers(sam_config, randomise):
    encoder = randomise(SamEncoder(sam_config()))
    model = SamVisionEncoder(sam_config()).eval()
    model.load_state_dict(encoder.model.state_dict())
    image = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        (level,) = encoder(image)
        assert torch.equal(level, model(image).last_hidden_state)


def resize_relative(table: np.ndarray, length: int) -> np.ndarray:
    """Resize (L, C) linearly with half-pixel centres, column by column."""
    places = (np.arange(length) + 0.5) * len(table) / length - 0.5
    columns = [np.interp(places, np.arange(len(table)), column) for column in table.T]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("side", [48, 64, 160])
def test_other_sizes_equal_a_model_whose_positions_were_resized(sam_config, randomise, side):
    encoder = randomise(SamEncoder(sam_config()))
    state = dict(encoder.model.state_dict())
    grid = side // 16
    native = state["pos_embed"].permute(0, 3, 1, 2)
    state["pos_embed"] = functional.interpolate(native, (grid, grid), mode="bicubic").permute(0, 2, 3, 1)
    for key in ("layers.1.attn.rel_pos_h", "layers.1.attn.rel_pos_w"):
        resized = resize_relative(state[key].double().numpy(), 2 * grid - 1)
        state[key] = torch.from_numpy(resized).float()
    model = SamVisionEncoder(sam_config(side)).eval()
    model.load_state_dict(state)
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(encoder(image)[0], model(image).last_hidden_state, rtol=1e-4, atol=1e-4)


def test_transposed_weights_on_a_transposed_image_give_the_transposed_map(sam_config, randomise):
    encoder = randomise(SamEncoder(sam_config()))
    mirrored = SamEncoder(sam_config()).eval()
    state = {}
    for key, value in encoder.model.state_dict().items():
        if key == "pos_embed":
            value = value.transpose(1, 2)
        elif value.ndim == 4:
            value = value.transpose(2, 3)
        key = {"h": key[:-1] + "w", "w": key[:-1] + "h"}[key[-1]] if "rel_pos" in key else key
        state[key] = value
    mirrored.model.load_state_dict(state)
    image = torch.randn(1, 3, 48, 112)
    with torch.no_grad():
        torch.testing.assert_close(
            encoder(image)[0], mirrored(image.transpose(2, 3))[0].transpose(2, 3), rtol=1e-4, atol=1e-4
        )


def test_runs_with_bfloat16_parameters(sam_config, randomise):
    encoder = randomise(SamEncoder(sam_config()))
    for side in (96, 64):
        image = torch.randn(1, 3, side, side)
        with torch.no_grad():
            exact = encoder.float()(image)[0]
            rough = encoder.to(torch.bfloat16)(image)[0]
        assert rough.dtype is torch.bfloat16
        assert (exact - rough.float()).abs().mean() < 0.1 * exact.abs().mean()
