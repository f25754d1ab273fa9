"""Networks are loaded once, share their base, and appear and change with the folder."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from monai_lora_sam.serving import NetworkPool

ENCODER = "medsam_lite"


def names(pool: NetworkPool) -> list[str]:
    return [one.name for one in pool.offered()]


def test_adapters_share_the_encoder_and_appear_while_the_pool_lives(pool, save_adapter) -> None:
    assert names(pool) == [ENCODER, "ct", "us/1"]
    assert [one.modality for one in pool.offered()] == ["", "CT", "US"]
    ct, us = pool.get("ct"), pool.get("us/1")
    assert ct.network.stack is us.network.stack
    assert ct.encode_lock is us.encode_lock
    assert ct.identity != us.identity
    save_adapter(pool.adapters / "mr", "ct", 3)  # of the same name on the card
    assert names(pool) == [ENCODER, "ct", "mr", "us/1"]
    assert pool.get("mr").network.stack is ct.network.stack
    assert pool.get("ct") is ct


def test_a_replaced_folder_is_loaded_again(pool, save_adapter) -> None:
    before = pool.get("ct")
    assert pool.get("ct") is before
    save_adapter(pool.adapters / "ct", "ct", 4)
    after = pool.get("ct")
    assert after is not before
    assert after.identity != before.identity
    assert pool.get("ct") is after


def test_prompted_adapters_of_packages_are_offered_by_their_names(
    pool, save_adapter, stages, tmp_path: Path
) -> None:
    installed = tmp_path / "installed"
    save_adapter(installed / "one", "mr", 6, modality="MR")
    save_adapter(installed / "two", "ct", 7, modality="CT")
    shutil.copytree(stages.vessels, installed / "vessels")  # needs no prompt
    both = NetworkPool([ENCODER], pool.adapters, installed=[installed], weights=pool.weights)
    assert names(both) == [ENCODER, "mr", "ct", "us/1"]
    assert both.get("mr").network.name.startswith("mr")
    weights = {one.network.stack.fingerprint(one.network.name) for one in (both.get("ct"), pool.get("ct"))}
    assert len(weights) == 1  # the folder's own comes first


def test_threads_load_a_network_once(pool) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(pool.get, ["ct", "us/1", "ct", "us/1"]))
    assert found[0] is found[2] and found[1] is found[3]


def test_an_adapter_that_cannot_be_used_is_offered_with_its_error(pool, stages) -> None:
    shutil.copytree(stages.vessels, pool.adapters / "vessels")
    (pool.adapters / "ct" / "adapter_model.safetensors").write_bytes(b"cut off")
    errors = {one.name: one.error for one in pool.offered()}
    assert "is prompted" in errors["vessels"]
    assert "adapter_model.safetensors" in errors["ct"]
    assert errors["us/1"] is None
    with pytest.raises(ValueError, match="is prompted"):
        pool.get("vessels")
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors"):
        pool.get("ct")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../out", "ct/../ct", "/etc", "ct/", "nothing", "link", "c\0t"]
)
def test_only_folders_below_the_adapters_are_found(pool, save_adapter, tmp_path: Path, name: str) -> None:
    save_adapter(tmp_path / "out", "out", 5)
    (pool.adapters / "link").symlink_to(tmp_path / "out")
    with pytest.raises(KeyError, match="expected a network of"):
        pool.get(name)


def test_a_pool_needs_a_base() -> None:
    with pytest.raises(ValueError, match="expected one encoder or more"):
        NetworkPool([])
