"""Adapters of the bare transformers model: in from PEFT alone, out to PEFT alone, with equal outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from monai_lora_sam.adapters import AdapterStack, export_peft, import_peft, read_card
from monai_lora_sam.cli.main import app
from monai_lora_sam.encoders import save_encoder

TARGETS = {"sam3": ["q_proj", "v_proj"], "sam": ["attn.qkv"]}
NATIVE = {"sam3": "tiny", "sam": "sam_vit_b"}


def bare_features(model: nn.Module, image: Tensor) -> list[Tensor]:
    """Return the features that the bare transformers model computes, with or without PEFT around it."""
    with torch.no_grad():
        output = model(image)
    return list(getattr(output, "fpn_hidden_states", None) or [output.last_hidden_state])


@pytest.fixture(params=["sam3", "sam"])
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def by_peft(family: str, make_encoder: Any, tmp_path: Path) -> tuple[Path, nn.Module]:
    """Let PEFT alone write an adapter of the bare model; return its folder and the adapted model."""
    config = LoraConfig(
        r=2, lora_alpha=6, target_modules=TARGETS[family], layers_to_transform=[1, 2], layers_pattern="layers",
        init_lora_weights=False,
    )  # fmt: skip
    model = get_peft_model(make_encoder(family).model, config).eval()
    model.save_pretrained(tmp_path / "peft")
    return tmp_path / "peft", model


def test_an_import_computes_as_peft_alone(family, by_peft, make_encoder, image, features, same, tmp_path):
    folder, model = by_peft
    card = import_peft(folder, make_encoder(family), tmp_path / "liver")
    assert card["name"] == "liver" and card["parents"] == [] and card == read_card(tmp_path / "liver")
    stack = AdapterStack(make_encoder(family))
    stack.load(tmp_path / "liver")
    stack.activate("liver")
    expected = bare_features(model, image(family))
    assert same(features(stack, image(family)), expected)
    stack.activate()
    assert not same(features(stack, image(family)), expected)


def test_an_export_changes_the_bare_model_as_ours_does(
    family, make_encoder, image, features, same, train_steps, tmp_path
):
    stack = AdapterStack(make_encoder(family))
    stack.add("liver", r=2, targets="all", layers=2)
    stack.train_only("liver")
    train_steps(stack, image(family))
    stack.save("liver", tmp_path / "liver")
    for _ in range(2):  # an earlier export is replaced
        assert export_peft(tmp_path / "liver", tmp_path / "out") == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    model = PeftModel.from_pretrained(make_encoder(family).model, tmp_path / "out").eval()
    expected = features(stack, image(family))
    assert same(bare_features(model, image(family)), expected)
    assert not same(bare_features(make_encoder(family).model, image(family)), expected)


def test_round_trip_keeps_every_tensor(family, by_peft, make_encoder, tmp_path):
    folder, _ = by_peft
    import_peft(folder, make_encoder(family), tmp_path / "liver", "kidney")
    assert read_card(tmp_path / "liver")["name"] == "kidney"
    export_peft(tmp_path / "liver", tmp_path / "out")
    first, second = (load_file(path / "adapter_model.safetensors") for path in (folder, tmp_path / "out"))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_parents_are_named(trained_pair, tmp_path):
    trained_pair.save("segments", tmp_path / "segments")
    assert export_peft(tmp_path / "segments", tmp_path / "out") == ["vessels"]


def test_another_encoder_is_refused(family, by_peft, make_encoder, tmp_path):
    other = {"sam3": "sam", "sam": "sam3"}[family]
    with pytest.raises(ValueError, match="found none of them in the encoder"):
        import_peft(by_peft[0], make_encoder(other), tmp_path / "liver")
    assert not (tmp_path / "liver").exists()


def test_missing_tensors_and_files_are_named(by_peft, family, make_encoder, tmp_path):
    folder, _ = by_peft
    weights = folder / "adapter_model.safetensors"
    tensors = load_file(weights)
    first = sorted(tensors)[0]
    save_file({key: tensor for key, tensor in tensors.items() if key != first}, weights)
    with pytest.raises(
        ValueError, match=r"adapter_model.safetensors: expected 8 tensors, found 7|expected 4 .* 3"
    ):
        import_peft(folder, make_encoder(family), tmp_path / "liver")
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"expected adapter_model\.safetensors.*found"):
        import_peft(folder, make_encoder(family), tmp_path / "liver")


def test_more_than_plain_lora_is_refused(by_peft, family, make_encoder, tmp_path):
    path = by_peft[0] / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_dora": True}))
    with pytest.raises(ValueError, match="use_dora"):
        import_peft(by_peft[0], make_encoder(family), tmp_path / "liver")


def test_own_adapters_need_no_import_and_other_strategies_no_export(trained_pair, make_encoder, tmp_path):
    trained_pair.save("vessels", tmp_path / "vessels")
    with pytest.raises(ValueError, match="needs no import"):
        import_peft(tmp_path / "vessels", make_encoder(), tmp_path / "again")
    stack = AdapterStack(make_encoder())
    stack.add_strategy("still", "frozen")
    stack.save("still", tmp_path / "still")
    with pytest.raises(ValueError, match="expected a LoRA adapter, found strategy 'frozen'"):
        export_peft(tmp_path / "still", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"thesis\.txt"):
        export_peft(tmp_path / "vessels", tmp_path / "full")


def test_commands(by_peft, family, make_encoder, tmp_path):
    save_encoder(make_encoder(family), tmp_path / "base")
    arguments = [
        "--encoder",
        NATIVE[family],
        "--weights",
        str(tmp_path / "base"),
        "--out",
        str(tmp_path / "liver"),
    ]
    result = CliRunner().invoke(app, ["adapters", "import", str(by_peft[0]), *arguments])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(
        app, ["adapters", "export", str(tmp_path / "liver"), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    PeftModel.from_pretrained(make_encoder(family).model, tmp_path / "out")
    wrong = ["--encoder", "sam_vit_z", "--out", str(tmp_path / "no")]
    result = CliRunner().invoke(app, ["adapters", "import", str(by_peft[0]), *wrong])
    assert result.exit_code != 0 and "sam_vit_b" in result.output
