"""The evaluation of a network on a datalist: its table, resuming, what is left out, its page, bad input."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.evaluation import (
    FIELDS,
    evaluate_prompts,
    labelled_objects,
    read_scores,
    summarise,
    write_prompted_page,
)
from monai_lora_sam.metrics import object_scores
from monai_lora_sam.networks import PromptableSegmenter, build_promptable

MODES = ("box", "1 click")
ROWS = 4  # Three choices for the box, one for the click.
NAMES = ["background", "left", "right"]


@pytest.fixture(scope="module")
def network() -> PromptableSegmenter:
    """LiteMedSAM at a quarter of its size, with random weights."""
    return build_promptable("medsam_lite", False, image_size=64, mixed_precision=False)


@pytest.fixture
def entries(tmp_path: Path) -> list[dict]:
    """Write three images: two objects; one and a small one; a small one alone."""
    found = []
    for number, (left, right) in enumerate([(12, 10), (9, 4), (0, 4)]):
        label = np.zeros((40, 60), np.uint8)
        label[5 : 5 + left, 5 : 5 + left] = 100
        label[20 : 20 + right, 30 : 30 + right] = 200
        image = np.random.default_rng(number).integers(0, 99, label.shape, np.uint8) + label // 2
        for part, pixels in (("image", image), ("label", label)):
            Image.fromarray(pixels).save(tmp_path / f"{part}_{number}.png")
        entry = {part: str(tmp_path / f"{part}_{number}.png") for part in ("image", "label")}
        objects = [{"name": "left", "grey_level": 100}, {"name": "right", "grey_level": 200}]
        found.append({**entry, "dataset": "squares", "modality": "MR", "objects": objects})
    return found


def test_rows_resume_and_page(
    network: PromptableSegmenter, entries: list, tmp_path: Path, monkeypatch
) -> None:
    out = tmp_path / "out"
    result = evaluate_prompts(network, entries, NAMES, out, modes=MODES)
    assert (result.too_small, result.without_objects) == (2, 1)
    single = [row["object"] for row in result.rows if (row["mode"], row["choice"]) == ("box", "single")]
    assert single == ["left", "right", "left"]
    assert len(result.rows) == 3 * ROWS and tuple(result.rows[0]) == FIELDS
    whole = (out / "scores.csv").read_bytes()
    assert str(read_scores(out / "scores.csv")) == str(result.rows)  # As text, since NaN differs from itself.

    # A run that was killed in the second image: its last line is cut off.
    (out / "scores.csv").write_bytes(whole[:-30])
    encoded = []
    encode = network.encode
    monkeypatch.setattr(network, "encode", lambda image: encoded.append(image) or encode(image))
    again = evaluate_prompts(network, entries, NAMES, out, modes=MODES)
    assert len(encoded) == 1
    assert str(again.rows) == str(result.rows) and (out / "scores.csv").read_bytes() == whole

    # Alone, an image gives the same prompts and scores.
    alone = evaluate_prompts(network, entries[1:2], NAMES, tmp_path / "alone", modes=MODES)
    assert str(alone.rows) == str(result.rows[2 * ROWS :])

    with pytest.raises(ValueError, match=r"expected scores of the same settings .*, found seed 0"):
        evaluate_prompts(network, entries, NAMES, out, modes=MODES, seed=1)
    moved = copy.deepcopy(network)
    with torch.no_grad():
        next(moved.head.mask_decoder.parameters()).add_(1)
    with pytest.raises(ValueError, match=r"expected scores of the same settings .*, found network"):
        evaluate_prompts(moved, entries, NAMES, out, modes=MODES)

    summary = summarise(result.rows)
    text = write_prompted_page(out, result.rows, summary, entries, NAMES, "Squares", ["A note."]).read_text()
    for words in ("MR left", "MR right", "MR, all", "best:", "worst:", "A note.", "HD95 (px)"):
        assert words in text
    assert "box shifted 20 px" not in text  # Kinds of prompt that were not asked for
    mask = next(out.glob("masks/*.png"))
    assert len(list(out.glob("masks/*.png"))) == 3 and np.asarray(Image.open(mask)).shape == (40, 60)


def test_scores_are_those_of_the_masks_kept(
    network: PromptableSegmenter, entries: list, tmp_path: Path
) -> None:
    result = evaluate_prompts(network, entries[:1], NAMES, tmp_path / "out", modes=["box"])
    kept = [np.asarray(Image.open(path)).astype(bool) for path in (tmp_path / "out" / "masks").glob("*.png")]
    truths = [thing.mask for thing in labelled_objects(entries[0], NAMES)[0]]
    by_hand = {round(object_scores(mask, truth)["dice"], 5) for mask in kept for truth in truths}
    assert {row["dice"] for row in result.rows if row["choice"] == "single"} <= by_hand


def test_classes_of_the_datalist_serve_without_named_objects(tmp_path: Path) -> None:
    label = np.zeros((20, 30), np.uint8)
    label[:10, :10], label[15:, 20:25] = 2, 1
    Image.fromarray(label).save(tmp_path / "label.png")
    entry = {"image": "image.png", "label": str(tmp_path / "label.png")}
    objects, too_small = labelled_objects(entry, NAMES)
    assert [(thing.name, int(thing.mask.sum())) for thing in objects] == [("right", 100)] and too_small == 1
    # COSMOS-1050K drops objects of 50 pixels and fewer.
    label[15:, 20:30], label[14, 20] = 1, 1
    Image.fromarray(label).save(tmp_path / "label.png")
    assert [int(thing.mask.sum()) for thing in labelled_objects(entry, NAMES)[0]] == [51, 100]
    with pytest.raises(ValueError, match="expected names of classes in the datalist"):
        labelled_objects(entry, [])
    with pytest.raises(ValueError, match="expected a label, found none"):
        labelled_objects({"image": "image.png"}, NAMES)


def test_bad_input_is_refused(network: PromptableSegmenter, entries: list, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"modes: expected some of 1 point, .*, found circle"):
        evaluate_prompts(network, entries, NAMES, tmp_path / "out", modes=["circle"])
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(entries[0]["image"])
    with pytest.raises(ValueError, match=r"label_0\.png: expected \(9, 9\) as its image, found \(40, 60\)"):
        evaluate_prompts(network, entries, NAMES, tmp_path / "out", modes=["box"])
