"""The scores of prompted volumes on a drawn Decathlon folder, by a network whose answer is known."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
import typer
from PIL import Image

from monai_lora_sam.images import read_label_volume
from monai_lora_sam.networks import PromptedMasks

SHAPE = (24, 20, 12)  # rows, columns, slices


class Threshold(torch.nn.Module):
    """Mark what is brighter than half the slice's range inside the box."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        facts = {"pixel_mean": (0, 0, 0), "pixel_std": (1, 1, 1), "own_range": True, "image_size": 24}
        self.stack = SimpleNamespace(encoder=SimpleNamespace(**facts))
        self.encoded = 0

    def encode(self, image):
        self.encoded += 1
        return image

    def decode(self, image, boxes, multimask=False):
        bright = image[0, 0]
        rows, columns = (torch.arange(side) + 0.5 for side in bright.shape)
        x0, y0, x1, y1 = boxes[0, 0]
        inside = ((rows > y0) & (rows < y1))[:, None] & ((columns > x0) & (columns < x1))
        logits = torch.where(inside & (bright > 0.5), 1.0, -1.0)[None, None, None]
        return PromptedMasks(logits, torch.ones(1, 1, 1))


def ellipsoid(centre, radii):
    grid = np.indices(SHAPE).transpose(1, 2, 3, 0)
    return (((grid - centre) / radii) ** 2).sum(-1) <= 1


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """Draw two volumes: class 1 bright and whole, class 2 with a dark half that no threshold finds."""
    folder = tmp_path / "Task99_Drawn"
    entries = []
    for number in range(2):
        first, second = ellipsoid((6, 10, 6), (4, 6, 4)), ellipsoid((17, 10, 6), (4, 6, 3 + number))
        pixels = np.where(first | second, 1000.0, 100.0)
        pixels[:, :, 7:][second[:, :, 7:]] = 100
        entry = {}
        for kind, array in (("image", pixels), ("label", first + 2 * second)):
            entry[kind] = f"./{kind}sTr/drawn_{number}.nii.gz"
            (folder / f"{kind}sTr").mkdir(parents=True, exist_ok=True)
            stored = nibabel.Nifti1Image(array.transpose(1, 0, 2).astype(np.int16), np.diag([1, 1, 2, 1]))
            nibabel.save(stored, folder / entry[kind])
        entries.append(entry)
    labels = {"0": "background", "1": "whole", "2": "half"}
    content = {"modality": {"0": "MRI"}, "labels": labels, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def evaluate(script, monkeypatch):
    bench, network = script("evaluate_volumes"), Threshold()
    monkeypatch.setattr(bench, "build_promptable", lambda *_, **__: network)
    return bench, network


def test_scores_are_those_of_the_known_answer(evaluate, task, tmp_path, capsys):
    bench, network = evaluate
    out = tmp_path / "out"
    bench.main(task, out, device="cpu", json_file=tmp_path / "scores.json")
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2  # volumes, classes, ways
    # Both classes and both ways share the embeddings: at most one for each slice.
    assert network.encoded <= 2 * SHAPE[2]
    truth = read_label_volume(task / "labelsTr" / "drawn_0.nii.gz").pixels
    for row in rows:
        if row["class"] == "whole":
            assert float(row["dice"]) == float(row["surface_dice"]) == 1 and float(row["hd95_mm"]) == 0
    half = next(row for row in rows if row["class"] == "half" and row["volume"] == "drawn_0.nii.gz")
    inside = int((truth[..., :7] == 2).sum())
    assert float(half["dice"]) == pytest.approx(2 * inside / (inside + (truth == 2).sum()))
    written = read_label_volume(out / "range" / "drawn_0.nii.gz").pixels
    np.testing.assert_array_equal(written == 1, truth == 1)

    results = json.loads((tmp_path / "scores.json").read_text())["results"]
    found = {(row["way"], row["class"]): row["dice"] for row in results}
    assert found["range", "whole"]["mean"] == 1 and found["range", "whole"]["count"] == 2
    halves = [float(row["dice"]) for row in rows if row["class"] == "half" and row["way"] == "range"]
    assert found["range", "half"]["mean"] == pytest.approx(np.mean(halves))
    assert found["range", "all"]["mean"] == pytest.approx((1 + np.mean(halves)) / 2)
    assert "until" in capsys.readouterr().out
    assert Image.open(out / "sheet.png").size[0] > 200


def test_bad_input_is_named_and_other_volumes_are_scored(evaluate, task, tmp_path, capsys):
    bench, _ = evaluate
    (task / "imagesTr" / "drawn_0.nii.gz").write_bytes(b"")
    with pytest.raises(typer.Exit):
        bench.main(task, tmp_path / "out", way=["range"], device="cpu")
    assert "1 of 2 volumes failed" in capsys.readouterr().err
    assert len((tmp_path / "out" / "scores.csv").read_text().splitlines()) == 1 + 2
    with pytest.raises(typer.Exit):
        bench.main(task, tmp_path / "out", way=["ring"], device="cpu")
    assert "expected until empty or range, found ring" in capsys.readouterr().err
    (task / "dataset.json").write_text("{}")
    with pytest.raises(typer.Exit):
        bench.main(task, tmp_path / "out", device="cpu")
    assert "labels: expected names by value" in capsys.readouterr().err
