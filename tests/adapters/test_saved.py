"""One version of a saved adapter is read, whatever a writer does meanwhile, and readers change nothing."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import safetensors.torch
import torch
from forked import Forked

from monai_lora_sam.adapters import (
    AdapterStack,
    list_adapters,
    open_adapter,
    renew_card,
    verify_folder,
    write_folder,
)
from monai_lora_sam.adapters import saved as reading
from monai_lora_sam.adapters.card import card_digest
from monai_lora_sam.encoders import weights_fingerprint
from monai_lora_sam.files import atomic, atomic_folder


def write_versions(target: Path, system: str) -> None:
    """Write version after version until killed."""
    if system == "renames":
        atomic._exchange = lambda first, second: False
    entries = {"encoder": {}, "parents": [], "strategy": "frozen", "modules": [], "fingerprint": ""}
    for version in count(1):
        card = {"name": "liver", "version": version, **entries}
        with atomic_folder(target) as folder:
            write_folder(folder, card, {"head.safetensors": {"x": torch.full((3,), float(version))}}, None)


@pytest.fixture
def folder(make_encoder, tmp_path) -> Path:
    stack = AdapterStack(make_encoder())
    stack.add("vessels", r=1, layers=1)
    stack.save("vessels", tmp_path / "vessels", extra={"head": {"x": torch.ones(1)}})
    return tmp_path / "vessels"


def reseal(folder: Path, change: Callable[[dict], object]) -> None:
    card = json.loads((folder / "card.json").read_text())
    change(card)
    card["digest"] = card_digest(card)
    (folder / "card.json").write_text(json.dumps(card))


def tree(root: Path) -> dict[str, tuple[int, bytes | None]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
    }


@pytest.mark.parametrize("system", ["exchange", "renames"])
def test_a_reader_beside_a_writer_never_meets_two_versions(tmp_path, system):
    target = tmp_path / "liver"
    writer = Forked(partial(write_versions, target, system), tmp_path / "output.txt")
    try:
        while not target.exists() and writer.poll() is None:
            time.sleep(0.02)
        seen = set()
        for _ in range(200):
            found = open_adapter(target)
            assert found.extra("head")["x"].tolist() == [found.card["version"]] * 3
            seen.add(found.card["version"])
    finally:
        assert writer.kill() == -signal.SIGKILL, writer.said()
    assert open_adapter(target).card["version"] >= max(seen)


def test_a_swap_between_card_and_weights_starts_reading_again(folder, monkeypatch):
    newer = folder.with_name("newer")
    shutil.copytree(folder, newer)
    weights = {"x": torch.full((1,), 2.0)}
    (newer / "head.safetensors").write_bytes(safetensors.torch.save(weights))
    digest = reading.hashlib.sha256((newer / "head.safetensors").read_bytes()).hexdigest()
    reseal(newer, lambda card: (card["files"].update({"head.safetensors": digest}), card.update(version="2")))
    read, swaps = reading._read_card, []

    def swapped(place: Path, shown: Path) -> dict:
        card = read(place, shown)
        if not swaps:
            swaps.append(folder.rename(folder.with_name("older")))
            newer.rename(folder)
        return card

    monkeypatch.setattr(reading, "_read_card", swapped)
    found = open_adapter(folder)
    assert swaps and found.card["version"] == "2" and found.extra("head")["x"] == 2


def test_readers_change_nothing_and_leave_look_alikes_alone(folder, make_encoder):
    for name in (".vessels.previous", ".thesis.previous", ".vessels.previous.0123abcd-1-0123abcd"):
        (folder.with_name(name)).mkdir()
        (folder.with_name(name) / "chapter.txt").write_text("years of work")
    before = tree(folder.parent)
    assert [Path(card["folder"]).name for card in list_adapters(folder.parent)] == ["vessels"]
    AdapterStack(make_encoder()).load(folder)
    assert tree(folder.parent) == before
    stack = AdapterStack(make_encoder())
    stack.activate(stack.load(folder))
    stack.save("vessels", folder)
    assert len(list(folder.parent.glob(".*/chapter.txt"))) == 3, "a writer removes its own leftovers alone"


def test_line_endings_marks_and_indentation_do_not_matter(folder, make_encoder):
    for name in ("card.json", "adapter_config.json"):
        text = json.dumps(json.loads((folder / name).read_text()), indent=7)
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert AdapterStack(make_encoder()).load(folder) == "vessels"
    (folder / "adapter_config.json").write_text((folder / "adapter_config.json").read_text("utf-8-sig") + "x")
    with pytest.raises(ValueError, match=r"adapter_config.json: expected SHA-256"):
        verify_folder(folder)


def test_fingerprints_are_those_of_the_bytes(folder, make_encoder):
    path = folder / "adapter_model.safetensors"
    moved = {name: tensor + 1 for name, tensor in safetensors.torch.load(path.read_bytes()).items()}
    path.write_bytes(safetensors.torch.save(moved))
    digest = reading.hashlib.sha256(path.read_bytes()).hexdigest()
    reseal(folder, lambda card: card["files"].update({path.name: digest}))
    with pytest.raises(ValueError, match="vessels: expected weights of 'vessels' with fingerprint"):
        AdapterStack(make_encoder()).load(folder)


def test_another_architecture_is_another_base_and_old_cards_are_renewed(folder, make_encoder):
    encoder = make_encoder()
    encoder.model.config.backbone_config.global_attn_indexes = [1, 5]
    encoder.renew_fingerprint()
    with pytest.raises(ValueError, match="vessels: expected the base it was trained on"):
        AdapterStack(encoder).load(folder)
    encoder = make_encoder()
    old = {"fingerprint": weights_fingerprint(encoder)}
    reseal(folder, lambda card: (card.pop("format"), card["encoder"].update(old)))
    with pytest.raises(ValueError, match=r"found form 1; `monai-lora-sam adapters renew .*vessels`"):
        AdapterStack(encoder).load(folder)
    with pytest.raises(ValueError, match="expected the base"):
        renew_card(folder, make_encoder(seed=3))
    assert renew_card(folder, encoder) == renew_card(folder, encoder) == verify_folder(folder)
    assert AdapterStack(make_encoder()).load(folder) == "vessels"


@pytest.mark.parametrize(
    "change",
    [
        *({"lora_alpha": value} for value in (float("nan"), 1e30, -1, "32", None, True)),
        *({"r": value} for value in (0, 10**9, 1.0, "1", True)),
        *({"lora_dropout": value} for value in (1.0, -0.1, "0", float("nan"))),
        *({"layers_to_transform": value} for value in ([99], [-1], ["1"], "1", 0.5)),
        *({key: True} for key in ("use_rslora", "use_dora", "lora_bias", "fan_in_fan_out")),
        {"layers_pattern": "(a+)+$"},
        {"rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {"q_proj": 2}},
        {"modules_to_save": ["neck"]},
        {"target_modules": []},
        {"target_modules": ["attention.q_proj", "no_such"]},
    ],
)
def test_configurations_beyond_plain_lora_are_one_line(folder, make_encoder, change):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    digest = reading.hashlib.sha256(path.read_bytes()).hexdigest()
    reseal(folder, lambda card: card["files"].update({path.name: digest}))
    with pytest.raises(ValueError, match=r"adapter_config.json: ") as error:
        AdapterStack(make_encoder()).load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_numbers_beyond_use_are_refused(folder, make_encoder, value):
    path = folder / "adapter_model.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    next(iter(tensors.values())).fill_(value)
    path.write_bytes(safetensors.torch.save(tensors))
    digest = reading.hashlib.sha256(path.read_bytes()).hexdigest()
    reseal(folder, lambda card: card["files"].update({path.name: digest}))
    with pytest.raises(ValueError, match=r"adapter_model.safetensors: expected .*numbers"):
        AdapterStack(make_encoder()).load(folder)


def test_giant_and_deep_cards_are_refused(folder):
    (folder / "card.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"card.json: expected a JSON object"):
        verify_folder(folder)
    with (folder / "card.json").open("wb") as file:
        file.truncate(2**30)  # sparse: it takes no room
    with pytest.raises(ValueError, match=r"card.json: expected JSON of at most"):
        verify_folder(folder)


VALUES = (
    None,
    True,
    -1,
    0,
    1e30,
    10**30,
    "",
    "x" * 300,
    "\0",
    [],
    [[]],
    {},
    {"a": []},
    ["a", 1],
    "../x",
    "\ud800",
)


def mutate(folder: Path, rng: random.Random) -> None:
    """Change one file of an adapter: an entry of its JSON, or some bytes; most of them with digests that fit."""
    name = rng.choice(["card.json", "adapter_config.json", "adapter_model.safetensors", "head.safetensors"])
    path = folder / name
    content = path.read_bytes()
    if name.endswith(".json") and rng.random() < 0.8:
        whole = place = json.loads(content)
        while True:
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not isinstance(place[key], (dict, list)) or not place[key] or rng.random() < 0.5:
                break
            place = place[key]
        place[key] = rng.choice(VALUES)
        content = json.dumps(whole).encode()
    else:
        at = rng.randrange(min(len(content), 400))
        content = rng.choice(
            [content[:at], content[:at] + rng.randbytes(8) + content[at + 8 :], content[:8] * 9]
        )
    path.write_bytes(content)
    if rng.random() < 0.9:
        digest = reading.hashlib.sha256(content).hexdigest()
        try:
            fit = {} if name == "card.json" else {name: digest}
            reseal(folder, lambda card: card["files"].update(fit))
        except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
            pass  # the card itself was broken


def test_mutated_folders_end_in_one_line_that_names_them(folder, make_encoder, tmp_path, rounds: int = 60):
    stack, rng = AdapterStack(make_encoder()), random.Random(0)
    for index in range(rounds):
        copy = tmp_path / f"round{index}"
        shutil.copytree(folder, copy)
        mutate(copy, rng)
        try:
            stack.load(copy, f"a{index}")
            open_adapter(copy).extra("head")
        except KeyError as error:
            assert "head.safetensors" in str(error)
        except (ValueError, OSError) as error:
            assert copy.name in str(error) and "\n" not in str(error), repr(error)
