from __future__ import annotations

import pytest
from peft.tuners.lora import LoraLayer

from monai_lora_sam.adapters import AdapterStack, target_modules
from monai_lora_sam.adapters.presets import layer_indices
from monai_lora_sam.encoders import ENCODERS

ATTENTION = {"sam3": "attention", "sam": "attn"}
EXPECTED = {
    "sam3": {
        "qv": {"q_proj", "v_proj"},
        "qkv": {"q_proj", "k_proj", "v_proj"},
        "proj": {"o_proj"},
        "mlp": {"fc1", "fc2"},
        "all": {"q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"},
    },
    "sam": {
        "qv": {"qkv"},
        "qkv": {"qkv"},
        "proj": {"proj"},
        "mlp": {"lin1", "lin2"},
        "all": {"qkv", "proj", "lin1", "lin2"},
    },
}


def adapted(stack: AdapterStack) -> dict[int, set[str]]:
    """Read from PEFT's own layers which linear layers of which block are adapted; fail outside the blocks."""
    prefix = next(name for name, module in stack.encoder.named_modules() if module is stack.encoder.blocks)
    found: dict[int, set[str]] = {}
    for name, module in stack.encoder.named_modules():
        if isinstance(module, LoraLayer):
            assert name.startswith(f"{prefix}."), name
            block = int(name.removeprefix(f"{prefix}.").split(".")[0])
            found.setdefault(block, set()).add(name.split(".")[-1])
    return found


@pytest.mark.parametrize("family", ["sam3", "sam"])
@pytest.mark.parametrize("preset", ["qv", "qkv", "proj", "mlp", "all"])
def test_preset_adapts_exactly_its_layers_in_every_block(make_encoder, family, preset):
    stack = AdapterStack(make_encoder(family))
    stack.add("vessels", r=2, targets=preset)
    blocks = len(stack.encoder.blocks)
    assert adapted(stack) == {block: EXPECTED[family][preset] for block in range(blocks)}


@pytest.mark.parametrize("family", ["sam3", "sam"])
@pytest.mark.parametrize(("layers", "expected"), [(2, [-2, -1]), ([0, 2], [0, 2])])
def test_layers_restricts_the_blocks(make_encoder, family, layers, expected):
    stack = AdapterStack(make_encoder(family))
    stack.add("vessels", r=2, layers=layers)
    blocks = len(stack.encoder.blocks)
    assert sorted(adapted(stack)) == [index % blocks for index in expected]


@pytest.mark.parametrize("name", ["sam3", "sam_vit_b", "sam_vit_h", "sam_vit_l", "tiny"])
def test_every_encoder_knows_every_preset(name):
    assert set(ENCODERS.load(name).targets) == set(EXPECTED["sam3"])


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'kv'.*\['qv', 'qkv', 'proj', 'mlp', 'all'\]"):
        target_modules("sam3", "kv")
    with pytest.raises(ValueError, match=r"expected one of.*'sam3'.*found 'dino'"):
        target_modules("dino", "qv")


@pytest.mark.parametrize("layers", [0, -1, 7, True, [], [6], [-1], [1, 1], ["1"], "last", 1.5])
def test_layers_that_do_not_fit_are_refused(layers):
    with pytest.raises(ValueError, match=r"layers=.*6"):
        layer_indices(layers, block_count=6)


def test_without_targets_the_first_preset_of_the_entry_is_taken():
    for name in ("tiny", "sam_vit_b", "medsam_lite", "mini_vit"):
        assert target_modules(name) == target_modules(name, "qv")
    assert target_modules("mini") == ["conv_pw", "conv_pwl"]
    assert target_modules("repvit_m1") == target_modules("repvit_m1", "conv")
