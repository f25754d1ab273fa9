from __future__ import annotations

import pytest
import torch

from monai_lora_sam.adapters import AdapterStack, budget_table, format_budget
from monai_lora_sam.encoders import build_encoder


def test_table_by_hand():
    """r · (inputs + outputs) · layers: SAM 3 has 32 blocks of width 1024 and MLP 4736, SAM-B 12 of 768."""
    rows = {(row.encoder, row.targets, row.r): row for row in budget_table()}
    assert len(rows) == (5 + 5 + 6) * 5  # LiteMedSAM has `conv` besides
    assert rows["sam3", "qv", 16].parameters == 16 * (1024 + 1024) * 2 * 32 == 2_097_152
    assert rows["sam3", "mlp", 4].parameters == 4 * (1024 + 4736) * 2 * 32
    assert rows["sam3", "all", 64].parameters == 64 * (4 * 2048 + 2 * 5760) * 32
    assert rows["sam_vit_b", "qv", 8].parameters == 8 * (768 + 3 * 768) * 12
    assert rows["sam_vit_b", "qkv", 8].parameters == rows["sam_vit_b", "qv", 8].parameters
    assert rows["sam_vit_b", "proj", 32].parameters == 32 * (768 + 768) * 12
    # LiteMedSAM's attention: 2 blocks of width 128, 6 of 160 and 2 of 320.
    assert rows["medsam_lite", "qv", 4].parameters == 4 * 4 * (2 * 128 + 6 * 160 + 2 * 320)
    assert all(row.bytes == 4 * row.parameters for row in rows.values())


@pytest.mark.parametrize("name", ["medsam_lite", "sam3", "sam_vit_b"])
def test_table_equals_what_peft_builds_at_full_size(name):
    with torch.device("meta"):
        stack = AdapterStack(build_encoder(name))
        for targets in ("qv", "all"):
            stack.add(f"{targets}-adapter", r=8, targets=targets)
    expected = {row.targets: row.parameters for row in budget_table([name], ranks=[8])}
    assert {key: size["parameters"] for key, size in stack.budget().items()} == {
        f"{targets}-adapter": expected[targets] for targets in ("qv", "all")
    }


def test_the_table_is_markdown():
    assert "| sam3 | `qv` | 0.52 M, 2.1 MB | 1.05 M, 4.2 MB | 2.10 M, 8.4 MB |" in format_budget(
        budget_table()
    )
