"""The report of an ablation of words: further scores, gradients in each block, and the guide to the rank."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

GRID = Path(__file__).resolve().parents[2] / "scripts" / "ablations" / "text.yaml"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Write pictures with a bright vessel each, and a liver that none shows."""
    entries = []
    for index in range(6):
        mask = np.zeros((64, 64), np.uint8)
        mask[8 + index : 40, 20:30] = 255
        Image.fromarray(mask // 2 + 60).save(tmp_path / f"{index}.png")
        Image.fromarray(mask).save(tmp_path / f"{index}_vessel.png")
        phrases = {"vessel": f"{index}_vessel.png", "liver": None}
        entries.append({"image": f"{index}.png", "phrases": phrases, "case_id": str(index)})
    content = {"name": "words", "task": "phrases", "training": entries[:4], "validation": entries[4:]}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    return tmp_path


def test_the_report_has_all_that_the_grid_asks_for(
    script: Callable, one_thread: None, pictures: Path, promptable: Path, sentence_encoder: Path, capsys
):
    content = yaml.safe_load(GRID.read_text())
    frozen, last, *_ = content["cells"]
    small = {"pretrained": str(promptable), "image_size": 64, "text_encoder": str(sentence_encoder)}
    short = {"phrases": None, "limit": 4, "epochs": 2, "val_interval": 2, "batch_size": 2}
    content["common"] |= {**small, **short, "mixed_precision": False, "phrases_per_image": 2, "device": "cpu"}
    content["common"]["validation_limit"] = None
    content["seeds"] = [0]
    ranks = [{**cell, "text_lora#r": rank} for rank, cell in zip((1, 2), content["cells"][2:4], strict=True)]
    both = {**content["cells"][-1], "text_lora#r": 2}
    content["cells"] = [frozen, {**last, "text_last_n": 1}, *ranks, both]
    (pictures / "grid.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    out = pictures / "out"
    script("ablate").main(pictures / "grid.yaml", out, setting=[f"dataset_dir={pictures}"])
    results = json.loads((out / "results.json").read_text())
    shown = " ".join(capsys.readouterr().out.split())
    for row in results["results"]:
        assert list(row["also"]) == ["val_f1", "val_dice", "val_false_alarms", "val_loss"]
        assert row["also"]["val_loss"]["mean"] > 0 and row["trainable_parameters"] > 0
    assert [line["images"] for line in results["rank_guide"]["for"]] == [1, 2, 4]
    assert "text_lora#r 1 for 1 labelled images" in shown
    found = {(row["cell"], row["part"], row["of"]): row["blocks"] for row in results["gradients"]}
    words = "sentence encoder"
    assert found["frozen", words, "parameters"] == [None, None]
    below, above = found["last 3 blocks", words, "parameters"]
    assert below is None and above > 0
    assert all(value > 0 for value in found["last 3 blocks", words, "outputs"])  # frozen or not
    assert all(value > 0 for value in found[ranks[0]["name"], words, "parameters"])
    assert set(found["frozen", "image encoder", "outputs"]) == {None}  # its features are stored
    assert any(found["vision and text LoRA", "image encoder", "parameters"])
    table = (out / "table.md").read_text()
    assert (
        "val_f1" in table
        and "| block 1 |" in table
        and "| last 3 blocks | sentence encoder, parameters | – |" in table
    )
    plot = (out / "gradients_sentence_encoder.svg").read_text()
    assert "last 3 blocks" in plot and "frozen" not in plot
    with (out / "runs.csv").open() as file:
        assert all(float(run["val_loss"]) > 0 for run in csv.DictReader(file))


def test_gradients_are_those_of_autograd(script: Callable):
    """Two linear blocks, of which the first is frozen: norms by hand."""
    script("ablate")
    network = torch.nn.Module()
    network.blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2, bias=False) for _ in range(2)])
    for block in network.blocks:
        torch.nn.init.eye_(block.weight)
    network.blocks[0].requires_grad_(False)
    network.forward = lambda image: network.blocks[1](network.blocks[0](image))
    trainer: Any = type("Trainer", (), {})()
    trainer.network, trainer.data_loader = network, [torch.tensor([[3.0, 4.0]])] * 2
    trainer.prepare_batch = lambda batch, device, non_blocking: (batch, None, (), {})
    trainer.loss_function = lambda found, _: found.sum()
    module = sys.modules["ablation_gradients"]
    found = module.gradient_norms(trainer, {"all": "blocks"}, 0)["all"]
    root = math.sqrt(2)
    # d(sum)/d(output) is (1, 1) for both blocks; d/d(weight) is two rows of (3, 4).
    assert found == {"parameters": [None, pytest.approx(5 * root)], "outputs": [pytest.approx(root)] * 2}
    with pytest.raises(ValueError, match="gradients: all: expected blocks of the network at 'layers'"):
        module.gradient_norms(trainer, {"all": "layers"}, 0)


def test_the_guide_takes_the_smallest_rank_that_is_as_good(script: Callable):
    script("ablate")
    guide = sys.modules["ablation_rank"].rank_guide
    scores = {8: [0.60, 0.62], 16: [0.69, 0.71], 32: [0.70, 0.72]}
    assert guide(scores, images=120, labelled=120) == 16  # 32 is better by less than the seeds differ
    assert guide(scores, images=120, labelled=5000) == 16
    assert guide(scores, images=120, labelled=60) == 8 and guide(scores, images=120, labelled=100) == 8
    assert guide(scores, images=120, labelled=1) == 8  # the smallest one at least
    assert guide({8: [0.5], 16: [0.7]}, images=10, labelled=10) == 16
    assert guide({8: [0.9], 16: [0.7]}, images=10, labelled=10) == 8
    for wrong, message in (
        (({}, 1, 1), "scores: expected some"),
        (({8: [1.0]}, 0, 1), "images: expected 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            guide(*wrong)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"also": ["val_f2"]}, "also: expected some of"),
        ({"rank": "lora#r"}, "rank: expected a key that cells have, found 'lora#r'"),
        ({"files": ["sam.yaml"]}, "files: expected some of"),
        ({"gradients": {"all": 3}}, "gradients: expected the place of blocks in the network, found ['all']"),
    ],
)
def test_a_wrong_report_is_refused(script: Callable, tmp_path: Path, changed: dict[str, Any], message: str):
    script("ablate")
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(yaml.safe_load(GRID.read_text()) | changed))
    with pytest.raises(ValueError) as caught:
        sys.modules["ablation_grid"].read_grid(tmp_path / "grid.yaml", {})
    assert message in str(caught.value)
