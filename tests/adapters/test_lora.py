"""Dealings with PEFT: wrapping, switching, gradients."""

from __future__ import annotations

import torch
from peft import LoraConfig, PeftModel

from monai_lora_sam.adapters import lora

CONFIG = LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.5)


def test_the_first_adapter_wraps_the_encoder_and_the_second_does_not_wrap_again(make_encoder):
    encoder = make_encoder()
    assert lora.tuner(encoder) is None and lora.plain_encoder(encoder) is encoder
    model = lora.inject(encoder, "first", CONFIG)
    assert isinstance(model, PeftModel) and lora.inject(model, "second", CONFIG) is model
    assert lora.plain_encoder(model) is encoder
    assert lora.config_of(model, "second").r == 2


def test_switching_gives_gradients_to_the_trained_one_alone(make_encoder):
    model = lora.inject(lora.inject(make_encoder(), "first", CONFIG), "second", CONFIG)
    lora.switch(model, ["first", "second"], ["second"])
    trained = [name for name, p in model.named_parameters() if p.requires_grad and "lora_" in name]
    assert len(trained) == 12 and all(".second." in name for name in trained)
    assert set(lora.tuner(model).active_adapters) == {"first", "second"}
    lora.set_dropout(model, ["second"], True)
    modes = {
        name.split(".")[-1]: module.training
        for name, module in model.named_modules()
        if "lora_dropout." in name
    }
    assert modes == {"first": False, "second": True}


def test_tensors_go_out_and_in_again(make_encoder):
    model = lora.inject(make_encoder(), "first", CONFIG)
    tensors = {key: torch.ones_like(tensor) for key, tensor in lora.tensors_of(model, "first").items()}
    lora.set_tensors(model, "first", tensors)
    found = lora.tensors_of(model, "first")
    assert len(found) == 12 and all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_a_merged_copy_leaves_the_model_as_it_was(make_encoder, image, features, same):
    plain = make_encoder()
    assert same(features(lora.merged_copy(plain, []), image()), features(plain, image()))
    model = lora.inject(make_encoder(), "first", CONFIG)
    merged = lora.merged_copy(model, ["first"])
    assert lora.tuner(model) is not None and not any("lora_" in name for name in merged.state_dict())
