"""A small GGUF file, written by gguf's own writer, becomes the model that it was written from, once."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from monai_lora_sam.networks import LanguageModel, open_language_model
from monai_lora_sam.networks.reasoning import gguf_conversion

#: Name in transformers → name in GGUF, of a block.
BLOCK = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


@pytest.fixture
def file(language_model: Path, tmp_path: Path) -> Path:
    """Write the small language model as llama.cpp does: queries and keys have their halves interleaved."""
    config = json.loads((language_model / "config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(str(language_model))
    tokenizer = AutoTokenizer.from_pretrained(str(language_model))
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads((language_model / "tokenizer.json").read_text())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3 if token.startswith("<|") else 1 for token, _ in vocabulary])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    for name, tensor in model.state_dict().items():
        values = tensor.numpy()
        parts = name.removesuffix(".weight").split(".", 3)
        if name == "lm_head.weight":
            continue
        if parts[1] == "layers":
            block, _, layer = name.removesuffix(".weight").removeprefix("model.layers.").partition(".")
            if "q_proj" in name or "k_proj" in name:
                heads = config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
                values = values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
            target = f"blk.{block}.{BLOCK[layer]}.weight"
        else:
            target = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}[
                name.removesuffix(".weight")
            ] + ".weight"
        writer.add_tensor(target, np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_it_is_converted_once_and_gives_the_same_logits(
    file: Path, language_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MONAI_LORA_SAM_CACHE", str(tmp_path / "cache"))
    found = open_language_model(file)
    assert found.folder.parent == tmp_path / "cache" / "language_models"
    monkeypatch.setattr(gguf_conversion, "_convert", None)  # a second conversion would fail
    model = LanguageModel(str(file), "frozen", precision="float32")
    model.load_base(overwrite=True)
    plain = AutoModelForCausalLM.from_pretrained(str(language_model)).eval()
    ids = torch.arange(12)[None]
    with torch.no_grad():
        logits = model.logits(model(model.embed(ids), torch.ones_like(ids)))[..., :-1]
        torch.testing.assert_close(logits, plain(ids).logits, atol=1e-5, rtol=1e-5)
    own = AutoTokenizer.from_pretrained(str(language_model))
    text = "Where is the vessel?"
    assert model.conversation.tokenizer(text).input_ids == own(text).input_ids
    assert model.conversation.end == own.eos_token_id


def test_a_file_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MONAI_LORA_SAM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bad.gguf").write_bytes(b"no such thing" * 100)
    with pytest.raises(ValueError, match=r"bad\.gguf: expected a language model that transformers reads"):
        open_language_model(tmp_path / "bad.gguf")
    assert not list((tmp_path / "cache" / "language_models").glob("*"))
