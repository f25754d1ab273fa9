"""Weights that a strategy without LoRA moved, on a network small enough to name them by hand."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from monai_lora_sam.adapters.moved_weights import adapter_key, check_shapes, moved_weights


def network() -> nn.Module:
    return nn.ModuleDict({"first": nn.Linear(2, 3), "second": nn.BatchNorm1d(3)})


def test_parameters_and_buffers_of_the_named_modules():
    assert list(moved_weights(network(), ["first"])) == ["first.weight", "first.bias"]
    assert moved_weights(network(), [""]).keys() == network().state_dict().keys()
    assert moved_weights(network(), []) == {} == moved_weights(network(), ["fir"])


def test_names_under_peft_are_those_of_the_plain_network():
    plain = network()
    expected = {key: tensor.clone() for key, tensor in plain.state_dict().items()}
    wrapped = get_peft_model(plain, LoraConfig(r=1, target_modules=["first"]))
    found = moved_weights(wrapped.base_model.model, [""])
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_an_adapter_that_moved_has_names_of_its_own():
    assert adapter_key("vessels", "lora_A.weight") == "adapters.vessels.lora_A.weight"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, r"some: expected 1 tensors, found 0; missing \['a'\]"),
        ({"a": torch.zeros(2), "b": torch.zeros(1)}, r"unexpected \['b'\]"),
        ({"a": torch.zeros(3)}, r"some: a: expected shape \(2,\), found \(3,\)"),
    ],
)
def test_names_and_shapes_are_checked(found, message):
    for expected in ({"a": torch.zeros(2)}, {"a": torch.Size((2,))}):
        with pytest.raises(ValueError, match=message):
            check_shapes("some", expected, found)
        check_shapes("some", expected, {"a": torch.ones(2)})
