from __future__ import annotations

import hashlib
import json

import pytest
import safetensors.torch
import torch
from peft import PeftModel

from monai_lora_sam.adapters import (
    STRATEGIES,
    AdapterStack,
    apply_strategy,
    list_adapters,
    load_extra,
    read_card,
    tensors_fingerprint,
    verify_folder,
)


@pytest.fixture
def saved(trained_pair, tmp_path):
    """Save both adapters; return the folder that holds their folders."""
    trained_pair.save("vessels", tmp_path / "vessels", card={"task": "vessels", "metrics": {"dice": 0.7}})
    trained_pair.save("segments", tmp_path / "segments", extra={"head": {"weight": torch.ones(2, 3)}})
    return tmp_path


def reseal(folder, change):
    """Change a card and give it valid digests again, as someone who means to deceive would."""
    card = json.loads((folder / "card.json").read_text())
    change(card)
    card["digest"] = ""
    content = {key: value for key, value in card.items() if key != "digest"}
    card["digest"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))


def reseal_file(folder, name, content):
    (folder / name).write_bytes(content)
    reseal(folder, lambda card: card["files"].update({name: hashlib.sha256(content).hexdigest()}))
    if name == "adapter_model.safetensors":
        alpha = json.loads((folder / "adapter_config.json").read_text())["lora_alpha"]
        found = tensors_fingerprint(safetensors.torch.load(content), f"alpha={alpha}")
        reseal(folder, lambda card: card.update(fingerprint=found))


def test_peft_alone_loads_the_folder(saved, trained_pair, make_encoder, image, features, same):
    alone = PeftModel.from_pretrained(make_encoder(), saved / "vessels").eval()
    with trained_pair.using("vessels"):
        assert same(features(alone, image()), features(trained_pair, image()))
    alone.load_adapter(saved / "segments", "segments")
    alone.base_model.set_adapter(["default", "segments"])
    with trained_pair.using("vessels", "segments"):
        assert same(features(alone, image()), features(trained_pair, image()))


def test_stack_loads_what_peft_would(saved, trained_pair, make_encoder, image, features, same):
    stack = AdapterStack(make_encoder())
    assert [stack.load(saved / "vessels"), stack.load(saved / "segments")] == ["vessels", "segments"]
    assert stack.active == ()
    stack.activate("vessels", "segments")
    assert same(features(stack, image()), features(trained_pair, image()))
    assert not any(p.requires_grad for p in stack.parameters())
    assert torch.equal(load_extra(saved / "segments", "head")["weight"], torch.ones(2, 3))
    with pytest.raises(KeyError, match=r"expected decoder.safetensors, found \['adapter_config.json'"):
        load_extra(saved / "segments", "decoder")


def test_layers_and_rank_survive(make_encoder, image, features, same, train_steps, tmp_path):
    stack = AdapterStack(make_encoder("sam"))
    stack.add("vessels", r=3, alpha=5, targets="mlp", layers=[0, 2])
    stack.train_only("vessels")
    train_steps(stack, image("sam"))
    stack.save("vessels", tmp_path / "vessels")
    again = AdapterStack(make_encoder("sam"))
    again.activate(again.load(tmp_path / "vessels", name="renamed"))
    assert again.active == ("renamed",)
    assert same(features(again, image("sam")), features(stack, image("sam")))
    alone = PeftModel.from_pretrained(make_encoder("sam"), tmp_path / "vessels").eval()
    assert same(features(alone, image("sam")), features(stack, image("sam")))


def test_card_says_what_it_must(saved, trained_pair):
    card = read_card(saved / "segments")
    vessels = read_card(saved / "vessels")
    assert card["parents"] == [{"name": "vessels", "fingerprint": vessels["fingerprint"]}]
    assert vessels["parents"] == [] and vessels["task"] == "vessels" and vessels["metrics"] == {"dice": 0.7}
    assert (card["name"], card["version"], card["strategy"]) == ("segments", "1", "lora")
    assert card["encoder"]["fingerprint"] == trained_pair.encoder.fingerprint
    assert card["encoder"]["family"] == "sam3" and card["encoder"]["name"] == "tiny"
    assert set(card["files"]) == {"adapter_config.json", "adapter_model.safetensors", "head.safetensors"}
    for name, digest in card["files"].items():
        assert hashlib.sha256((saved / "segments" / name).read_bytes()).hexdigest() == digest
    assert {"torch", "peft", "transformers"} <= set(card["packages"])
    stems = {path.suffix for path in (saved / "segments").iterdir()}
    assert stems == {".json", ".safetensors"}  # nothing pickled


def test_version_and_entries_of_a_loaded_card_are_kept(saved, make_encoder):
    stack = AdapterStack(make_encoder())
    stack.load(saved / "vessels")
    stack.save("vessels", saved / "again", card={"version": "1.1.0"})
    card = read_card(saved / "again")
    assert (card["version"], card["task"]) == ("1.1.0", "vessels")
    assert card["fingerprint"] == read_card(saved / "vessels")["fingerprint"]


def test_another_base_is_refused(saved, make_encoder):
    other = make_encoder(seed=5)
    expected = read_card(saved / "vessels")["encoder"]["fingerprint"]
    stack = AdapterStack(other)
    with pytest.raises(ValueError, match=rf"expected the base.*{expected}.*found tiny.*{other.fingerprint}"):
        stack.load(saved / "vessels")
    with pytest.raises(ValueError, match=r"family sam3.*found sam_vit_b"):
        AdapterStack(make_encoder("sam")).load(saved / "vessels")
    assert stack.names == ()


def test_a_missing_or_changed_parent_is_refused(saved, trained_pair, make_encoder, image, train_steps):
    expected = read_card(saved / "vessels")["fingerprint"]
    stack = AdapterStack(make_encoder())
    with pytest.raises(ValueError, match=rf"expected its parent 'vessels'.*{expected}.*found only \[\]"):
        stack.load(saved / "segments")
    stack.load(saved / "vessels")
    stack.train_only("vessels")
    train_steps(stack, image(), steps=1)
    with pytest.raises(ValueError, match=rf"{expected} on the stack, found 'vessels' with [0-9a-f]{{64}}"):
        stack.load(saved / "segments")
    assert stack.names == ("vessels",)


def test_a_parent_is_found_under_another_name(saved, trained_pair, make_encoder, image, features, same):
    stack = AdapterStack(make_encoder())
    stack.load(saved / "vessels", name="tree")
    stack.load(saved / "segments")
    stack.activate("tree", "segments")
    assert same(features(stack, image()), features(trained_pair, image()))


def test_two_versions_on_one_stack_are_switched_bit_for_bit(
    saved, trained_pair, make_encoder, image, features, same, train_steps
):
    (saved / "segments").rename(saved / "segments_v1")
    expected = {}
    with trained_pair.using("vessels"):
        expected["vessels",] = features(trained_pair, image())
    expected["vessels", "segments_v1"] = features(trained_pair, image())
    train_steps(trained_pair, image())
    trained_pair.save("segments", saved / "segments_v2", card={"version": "2"})
    expected["vessels", "segments_v2"] = features(trained_pair, image())
    apply_strategy(trained_pair, "lora", "stenosis", r=2)
    train_steps(trained_pair, image())
    trained_pair.save("stenosis", saved / "stenosis")
    expected["vessels", "segments_v2", "stenosis"] = features(trained_pair, image())

    stack = AdapterStack(make_encoder())
    stack.load(saved / "vessels")
    for name in ("segments_v1", "segments_v2"):
        assert stack.load(saved / name, name) == name
    stack.load(saved / "stenosis")
    newer = read_card(saved / "segments_v2")["fingerprint"]
    assert stack.record("stenosis").parents["segments_v2"] == newer and stack.record("stenosis").card
    for names in [*expected, *reversed(expected)]:
        with stack.using(*names):
            assert same(features(stack, image()), expected[names]), names
    assert not same(expected["vessels", "segments_v1"], expected["vessels", "segments_v2"])


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "head.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "one byte", "empty", "missing"])
def test_a_damaged_file_is_refused_by_name(saved, make_encoder, name, damage):
    path = saved / "segments" / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        path.write_bytes({"truncated": content[:-7], "one byte": flipped, "empty": b""}[damage])
    stack = AdapterStack(make_encoder())
    stack.load(saved / "vessels")
    with pytest.raises((ValueError, FileNotFoundError), match=rf"{name}: expected"):
        stack.load(saved / "segments")
    with pytest.raises((ValueError, FileNotFoundError), match=name):
        load_extra(saved / "segments", "head")
    assert stack.names == ("vessels",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"),
        ('{"name": ', "damaged"),
        ("[]", "expected a JSON object, found list"),
        ("{}", "expected an entry 'name'"),
        (None, "expected an adapter folder"),
    ],
)
def test_a_damaged_card_is_refused(saved, text, message):
    path = saved / "vessels" / "card.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        verify_folder(saved / "vessels")


def test_a_changed_card_is_refused(saved):
    path = saved / "segments" / "card.json"
    card = json.loads(path.read_text())
    card["parents"] = []
    path.write_text(json.dumps(card))
    with pytest.raises(ValueError, match="the card was changed"):
        read_card(saved / "segments")


@pytest.mark.parametrize("file", ["../vessels/adapter_model.safetensors", "/etc/hostname", "..", "a\\b", ""])
def test_paths_in_a_card_never_leave_the_folder(saved, file):
    reseal(saved / "segments", lambda card: card["files"].update({file: "0"}))
    with pytest.raises(ValueError, match="plain file in the folder itself"):
        verify_folder(saved / "segments")


def test_links_that_leave_the_folder_are_refused(saved):
    path = saved / "segments" / "head.safetensors"
    path.rename(saved / "elsewhere.safetensors")
    path.symlink_to(saved / "elsewhere.safetensors")
    with pytest.raises(ValueError, match="plain file in the folder itself"):
        verify_folder(saved / "segments")


def test_weights_that_do_not_fit_are_refused_even_with_valid_digests(
    saved, make_encoder, image, features, same
):
    stack = AdapterStack(make_encoder())
    before = features(stack, image())
    path = saved / "vessels" / "adapter_model.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    first = next(iter(tensors))
    for change, message in (
        ({first: torch.zeros(9, 9)}, "expected shape"),
        ({"base_model.model.model.neck.lora_A.weight": torch.zeros(1)}, "unexpected"),
        ({first: torch.full_like(tensors[first], float("nan"))}, "NaN"),
    ):
        reseal_file(saved / "vessels", path.name, safetensors.torch.save({**tensors, **change}))
        with pytest.raises(ValueError, match=message):
            stack.load(saved / "vessels")
    assert same(features(stack, image()), before) and stack.names == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "LOHA"}, "peft_type"),
        ({"target_modules": ".*"}, "target_modules"),
        ({"target_modules": ["neck"]}, "expected a linear layer"),
        ({"target_modules": ["nothing_of_that_name"]}, "found none"),
        ({"modules_to_save": ["neck"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"megatron_config": {"a": 1}, "megatron_core": "antigravity"}, "megatron"),
        ({"use_dora": True}, "use_dora"),
        ({"something_new": True}, "something_new"),
    ],
)
def test_a_configuration_that_is_no_plain_lora_is_refused(saved, make_encoder, change, message):
    path = saved / "vessels" / "adapter_config.json"
    config = {**json.loads(path.read_text()), **change}
    reseal_file(saved / "vessels", path.name, json.dumps(config).encode())
    with pytest.raises(ValueError, match=message):
        AdapterStack(make_encoder()).load(saved / "vessels")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_is_saved_and_loaded_alike(
    saved, make_encoder, image, features, same, train_steps, strategy
):
    stack = AdapterStack(make_encoder())
    stack.activate(stack.load(saved / "vessels"))
    apply_strategy(stack, strategy, "stage", r=2)
    train_steps(stack, image())
    card = stack.save("stage", saved / "stage", extra={"head": {"weight": torch.ones(1)}})
    assert card["strategy"] == strategy and [parent["name"] for parent in card["parents"]] == ["vessels"]
    own = {"lora": {"adapter_config.json", "adapter_model.safetensors"}, "frozen": set()}
    assert set(card["files"]) == own.get(strategy, {"encoder_delta.safetensors"}) | {"head.safetensors"}

    again = AdapterStack(make_encoder())
    with pytest.raises(ValueError, match="expected its parent 'vessels'"):
        again.load(saved / "stage")
    again.load(saved / "vessels")
    name = again.load(saved / "stage")
    again.activate("vessels", name)
    assert same(features(again, image()), features(stack, image()))
    assert load_extra(saved / "stage", "head")["weight"] == 1
    other = AdapterStack(make_encoder(seed=5))
    with pytest.raises(ValueError, match="expected the base"):
        other.load(saved / "stage")


def test_moved_weights_are_exactly_its_blocks_by_the_plain_encoders_names(
    make_encoder, image, features, same, train_steps, tmp_path
):
    """PEFT has wrapped the encoder for an inactive adapter: that must not show in the file."""
    stack = AdapterStack(make_encoder())
    stack.add("inactive", r=2, targets="all")
    apply_strategy(stack, "last_n", "stage", last_n=1)
    train_steps(stack, image())
    stack.save("stage", tmp_path / "stage")
    moved = safetensors.torch.load_file(tmp_path / "stage" / "encoder_delta.safetensors")
    names = {name for name, _ in make_encoder().named_parameters() if ".layers.5." in name}
    assert set(moved) == names
    plain = AdapterStack(make_encoder())
    plain.load(tmp_path / "stage")
    assert same(features(plain, image()), features(stack, image()))


def test_a_moved_encoder_and_adapters_not_trained_with_it_are_kept_apart(
    saved, make_encoder, image, train_steps
):
    stack = AdapterStack(make_encoder())
    apply_strategy(stack, "last_n", "stage")
    train_steps(stack, image())
    stack.save("stage", saved / "stage")
    with pytest.raises(ValueError, match=r"'stage', which moves the encoder and which 'vessels' was not"):
        stack.load(saved / "vessels")
    other = AdapterStack(make_encoder())
    other.load(saved / "vessels")
    with pytest.raises(ValueError, match=r"'stage', which moves the encoder and which 'vessels' was not"):
        other.load(saved / "stage")


def test_an_adapter_trained_after_a_save_is_known_by_its_last_state(
    make_encoder, image, train_steps, tmp_path
):
    stack = AdapterStack(make_encoder())
    apply_strategy(stack, "lora", "vessels", r=2)
    train_steps(stack, image())
    early = stack.save("vessels", tmp_path / "vessels")["fingerprint"]
    train_steps(stack, image())
    apply_strategy(stack, "lora", "segments", r=2)
    late = stack.save("vessels", tmp_path / "vessels")["fingerprint"]
    assert early != late
    assert stack.save("segments", tmp_path / "segments")["parents"] == [
        {"name": "vessels", "fingerprint": late}
    ]


@pytest.mark.parametrize("key", ["name", "encoder", "parents", "strategy", "files", "digest", "fingerprint"])
def test_reserved_card_entries_are_refused(trained_pair, tmp_path, key):
    with pytest.raises(ValueError, match=f"'{key}'"):
        trained_pair.save("vessels", tmp_path / "vessels", card={key: "mine"})


def test_what_cannot_be_saved_leaves_the_old_version(saved, trained_pair):
    before = {path.name: path.read_bytes() for path in (saved / "vessels").iterdir()}
    for arguments, message in (
        ({"card": {"metrics": {"dice": float("nan")}}}, "JSON"),
        ({"card": {"metrics": object()}}, "JSON"),
        ({"extra": {"head": {"weight": torch.tensor(float("inf"))}}}, "head.safetensors.*NaN or infinity"),
        ({"extra": {"../head": {}}}, "name"),
        ({"extra": {"adapter_model": {}}}, "taken"),
    ):
        with pytest.raises(ValueError, match=message):
            trained_pair.save("vessels", saved / "vessels", **arguments)
        assert {path.name: path.read_bytes() for path in (saved / "vessels").iterdir()} == before
    assert sorted(path.name for path in saved.iterdir()) == ["segments", "vessels"]


def test_folders_of_others_are_not_replaced(trained_pair, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="expected an adapter's folder"):
        trained_pair.save("vessels", tmp_path)
    with pytest.raises(NotADirectoryError):
        trained_pair.save("vessels", tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_numbers_of_numpy_and_torch_fit_a_card(trained_pair, tmp_path):
    metrics = {"dice": torch.tensor(0.5), "cldice": torch.ones(()).numpy()}
    trained_pair.save("vessels", tmp_path / "vessels", card={"metrics": metrics})
    assert read_card(tmp_path / "vessels")["metrics"] == {"dice": 0.5, "cldice": 1.0}


def test_list_shows_good_and_bad_adapters(saved):
    (saved / "segments" / "head.safetensors").write_bytes(b"")
    (saved / "deep" / "bare").mkdir(parents=True)
    (saved / "deep" / "bare" / "adapter_config.json").write_text("{}")
    (saved / "unrelated").mkdir()
    cards = {card["folder"]: card for card in list_adapters(saved)}
    assert list(cards) == [str(saved / name) for name in ("deep/bare", "segments", "vessels")]
    assert cards[str(saved / "vessels")]["name"] == "vessels" and "error" not in cards[str(saved / "vessels")]
    assert "head.safetensors: expected SHA-256" in cards[str(saved / "segments")]["error"]
    assert "card.json" in cards[str(saved / "deep/bare")]["error"]
    with pytest.raises(NotADirectoryError):
        list_adapters(saved / "nowhere")


def test_target_names_are_written_in_one_order(make_encoder, tmp_path):
    """PEFT keeps them as a set, whose order changes from process to process, and with it the checksum."""
    stack = AdapterStack(make_encoder())
    stack.add("vessels", r=2, targets="all")
    stack.save("vessels", tmp_path)
    targets = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert len(targets) > 4 and targets == sorted(targets)
