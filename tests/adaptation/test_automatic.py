"""An adaptation without prompts: it learns, its scores are those of the masks that the command writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam.adaptation import Adaptation, AdaptationRequest, LoadObjectClassesd, adapt, make_plan
from monai_lora_sam.adapters import read_card
from monai_lora_sam.cli.main import app
from monai_lora_sam.images import read_volume, to_unit_by_preset
from monai_lora_sam.prompting import find_objects, find_objects_in_volume, load_automatic, segment_files
from monai_lora_sam.workflows import run_bundle

Make = Callable[..., AdaptationRequest]


def segment(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["segment", *map(str, words)])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def done(
    small_request: Make, discs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[AdaptationRequest, Adaptation]:
    """Adapt once, for long enough to find bright discs."""
    keys = {"epochs": 10, "val_interval": 10, "learning_rate": 0.01, "average_momentum": 0.3}
    out = tmp_path_factory.mktemp("automatic") / "out"
    request = small_request(out, *discs, automatic=True, class_names=("disc",), keys=keys)
    return request, adapt(request)


def test_it_learns_and_the_command_writes_the_scored_masks(
    done: tuple[AdaptationRequest, Adaptation], promptable: Path, tmp_path: Path
) -> None:
    _, adapted = done
    card = read_card(adapted.adapter)
    assert card["class_names"] == ["background", "disc"] and card["head"]["type"] == "segmentation"
    (item,) = adapted.trained.comparison
    assert item["mode"] == "disc" and item["objects"] == 2 and item["after"] > 0.7 and "before" not in item
    page = adapted.page.read_text()
    assert "finds nothing without a prompt" in page and "Masks for the tight box" not in page
    command = adapted.command.split()
    assert command[:4] == ["monai-lora-sam", "segment", "IMAGE", "--adapter"]

    row = adapted.trained.after[0]
    words = [row["image"] if word == "IMAGE" else word for word in command[2:-1]]
    code, output = segment(*words, tmp_path / "results", "--device", "cpu")
    assert code == 0 and "disc" in output, output
    mask = np.asarray(Image.open(tmp_path / "results" / "mask.png")) > 0
    label = next(entry["label"] for entry in adapted.data.validation if entry["image"] == row["image"])
    truth = np.asarray(Image.open(label)) > 0
    assert row["dice"] == pytest.approx(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
    record = json.loads((tmp_path / "results" / "segmentation.json").read_text())
    assert record["objects"][0]["name"] == "disc" and "box_xyxy" not in record["objects"][0]

    network, names = load_automatic(adapted.adapter, weights=promptable, device="cpu")
    with pytest.raises(ValueError, match="expected names of 2 maps"):
        find_objects(network, np.zeros((8, 8, 3)), ["disc"])
    outcomes = segment_files(network, row["image"], None, tmp_path / "many", names)
    assert [error for _, error in outcomes] == [None]
    assert (tmp_path / "many" / Path(row["image"]).stem / "mask.png").read_bytes() == (
        tmp_path / "results" / "mask.png"
    ).read_bytes()


def test_the_bundle_scores_the_same_masks(
    done: tuple[AdaptationRequest, Adaptation], promptable: Path, tmp_path: Path
) -> None:
    request, adapted = done
    overrides = {
        **request.keys,
        "dataset_dir": str(request.out),
        "datalist_file": str(adapted.data.datalist),
        "output_dir": str(tmp_path / "out"),
        "stage_folder": str(adapted.adapter),
        "device": "cpu",
    }
    run = run_bundle("modality_adapter", ["train.yaml", "automatic.yaml", "evaluate.yaml"], overrides)
    metrics = run.parser.get_parsed_content("validate#evaluator").state.metrics
    assert metrics["val_dice"] == pytest.approx(adapted.trained.comparison[0]["after"], abs=0.01)


def test_prompts_are_refused_where_none_are_needed_and_asked_for_where_they_are(
    done: tuple[AdaptationRequest, Adaptation], promptable: Path, discs: tuple[Path, Path], tmp_path: Path
) -> None:
    request, _ = done
    line = [discs[0] / "0.png", "--out", tmp_path / "out", "--weights", promptable]
    code, output = segment(*line, "--adapter", request.out, "--box", "1,2,30,40")
    assert code == 1 and "which needs no prompt" in output
    code, output = segment(*line, "--adapter", request.out, "--slices", "0,1")
    assert code == 1 and "found a single picture" in output
    code, output = segment(*line, "--adapter", request.out, "--image-size", "96")
    assert code == 1 and "expected the image size it was trained at, 64" in output


@pytest.mark.parametrize("key", ["rounds", "decoder", "decoder_lora::r"])
def test_keys_of_prompts_are_refused(small_request: Make, discs: tuple[Path, Path], tmp_path: Path, key: str):
    with pytest.raises(ValueError, match=f"--{key}: expected a key that an automatic adaptation has"):
        small_request(tmp_path, *discs, automatic=True, keys={key: 2})


def test_a_volume_is_segmented_across_its_thick_slices(
    done: tuple[AdaptationRequest, Adaptation], promptable: Path, tmp_path: Path
) -> None:
    request, _ = done
    rows, columns, slices = np.mgrid[:48, :40, :3]
    inside = (rows - 24) ** 2 + (columns - 20) ** 2 < 100
    values = (70 + 120 * (inside & (slices < 2))).astype(np.float32)
    # The first axis of the file is the thick one.
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 0, 1), np.diag([3, 1, 1, 1])), tmp_path / "a.nii.gz")
    line = ["--adapter", request.out, "--weights", promptable, "--out", tmp_path / "out", "--device", "cpu"]
    code, output = segment(tmp_path / "a.nii.gz", *line)
    assert code == 0 and "disc" in output, output
    labels = np.asarray(nibabel.load(tmp_path / "out" / "mask.nii.gz").dataobj)
    network, names = load_automatic(request.out, weights=promptable, device="cpu")
    volume = read_volume(tmp_path / "a.nii.gz")
    pixels = to_unit_by_preset(volume.pixels, "percentiles")
    assert volume.slice_axis == 1  # of rows, columns, slices: columns are the file's first axis
    for index in range(3):
        (one,) = find_objects(network, np.repeat(pixels[:, index, :, None], 3, 2), names)
        assert np.array_equal(labels[index] > 0, one.mask)
    (part,) = find_objects_in_volume(network, volume, pixels, names, (1, 1))
    assert not part.mask[:, [0, 2]].any() and np.array_equal(part.mask[:, 1], labels[1] > 0)
    with pytest.raises(ValueError, match="expected 0 <= FIRST <= LAST <= 2, found 1,3"):
        find_objects_in_volume(network, volume, pixels, names, (1, 3))


def test_grey_levels_become_classes(tmp_path: Path) -> None:
    levels = np.zeros((10, 12), np.uint8)
    levels[:4, :5], levels[6:, 8:] = 200, 90
    Image.fromarray(levels).save(tmp_path / "label.png")
    objects = [{"name": "left", "grey_level": 90}, {"name": "right", "grey_level": 200}]
    item = {"image": torch.zeros(3, 10, 12), "label": str(tmp_path / "label.png"), "objects": objects}
    loaded = LoadObjectClassesd(["background", "right", "left"])(item)["label"]
    assert loaded.shape == (1, 10, 12) and loaded.dtype == torch.uint8
    assert np.array_equal(loaded[0].numpy(), np.select([levels == 200, levels == 90], [1, 2]))
    with pytest.raises(ValueError, match=r"label.png: expected objects among \['right'\], found 'left'"):
        LoadObjectClassesd(["background", "right"])(item)
    with pytest.raises(ValueError, match=r"label.png: expected \(9, 12\)"):
        LoadObjectClassesd(["background", "right", "left"])({**item, "image": torch.zeros(3, 9, 12)})


def test_a_step_is_measured(promptable: Path) -> None:
    settings = {"encoder_name": "mini", "pretrained": str(promptable), "image_size": 64}
    plan = make_plan(settings, 8, 2, 1, torch.device("cpu"), maps=3)
    assert 0 < plan.step_s < 60 and plan.image_size == 64
