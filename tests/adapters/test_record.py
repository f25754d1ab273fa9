"""The entries of a card that a record makes."""

from __future__ import annotations

from monai_lora_sam.adapters.record import AdapterRecord


def test_kept_and_further_entries_never_replace_the_records_own(make_encoder):
    record = AdapterRecord("lora", parents={"vessels": "ab"}, fingerprint="cd")
    record.card = {"name": "old", "version": "3", "task": "liver", "modality": "CT", "digest": "old"}
    content = record.content("new", make_encoder(), "ef", {"task": "kidney"})
    assert content == {
        "name": "new",
        "version": "3",
        "task": "kidney",
        "modality": "CT",
        "strategy": "lora",
        "encoder": {"name": "tiny", "family": "sam3", "image_size": 56, "fingerprint": "ef"},
        "parents": [{"name": "vessels", "fingerprint": "ab"}],
        "fingerprint": "cd",
        "modules": [],
    }
    assert AdapterRecord("frozen").content("new", make_encoder(), "ef", {})["version"] == "1"


def test_only_lora_is_lora():
    assert AdapterRecord("lora").is_lora and not AdapterRecord("full", ("",)).is_lora
