"""A stage over the images of an index, in shards."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.index import ImageIndex, IndexedImage, index_images, write_index
from monai_lora_sam.prediction import (
    StagePredictor,
    WorkerPlace,
    begin_run,
    run_shard,
    summarise_run,
    work_on_shards,
    worker_place,
)
from monai_lora_sam.prompting import (
    find_objects,
    load_automatic,
    load_promptable,
    read_prompts,
    segment_image,
)

Results = Callable[[Path], dict[str, Any]]


def test_masks_are_those_of_one_image_alone(
    pictures_index: Path, stages: SimpleNamespace, predictor: StagePredictor, tmp_path: Path
):
    run = begin_run(pictures_index, stages.vessels, tmp_path / "out", shard_size=4)
    work_on_shards(run, lambda: predictor)
    summary = summarise_run(run)
    assert (run.shards, summary.images, summary.done, summary.failed) == (4, 14, 14, 0)
    network, names = load_automatic(stages.vessels, weights=stages.base, device="cpu")
    for row in (0, 5, 13):
        image = ImageIndex(pictures_index).rows(row, row + 1)[0]
        folder = run.folder(row // 4) / f"{row:09d}"
        expected = find_objects(network, read_colour_image(image.path).pixels, names)[0].mask
        assert np.array_equal(np.asarray(Image.open(folder / "mask.png")) > 0, expected)
        record = json.loads((folder / "segmentation.json").read_text())
        assert record["id"] == image.id and record["encoder"]["fingerprint"] == run.settings["encoder"]
    manifest = json.loads((run.folder(3) / "manifest.json").read_text())
    assert manifest["rows"] == [12, 14] and manifest["settings"] == run.settings
    assert [one["status"] for one in manifest["images"]] == ["done", "done"]
    seconds = manifest["seconds"]
    assert seconds["network"] + seconds["for_images"] + seconds["for_files"] <= seconds["total"] + 0.01


def test_bad_images_are_listed_and_the_others_done(
    stages: SimpleNamespace,
    predictor: StagePredictor,
    write_dicom: Callable[..., Path],
    tmp_path: Path,
):
    study = tmp_path / "study"
    study.mkdir()
    for name in ("changed", "fine", "gone"):
        Image.fromarray(np.zeros((30, 30), np.uint8)).save(study / f"{name}.png")
    (study / "damaged.png").write_bytes((study / "fine.png").read_bytes()[:50])
    write_dicom(np.full((20, 24), 7, np.uint8), name="frame").rename(study / "frame")
    index_images([study], tmp_path / "index.parquet")
    (study / "gone.png").unlink()
    Image.fromarray(np.ones((30, 30), np.uint8)).save(study / "changed.png")
    run = begin_run(tmp_path / "index.parquet", stages.vessels, tmp_path / "out")
    work_on_shards(run, lambda: predictor)
    summary = summarise_run(run)
    assert (summary.done, summary.failed) == (2, 3)
    rows = list(csv.DictReader(summary.failed_file.open()))
    assert [row["id"] for row in rows] == ["changed.png", "damaged.png", "gone.png"]
    assert "expected the file that was listed (SHA-256" in rows[0]["error"]
    assert all(str(study / row["id"]) in row["error"] for row in rows)
    assert rows[2]["error"].endswith("gone.png: expected an image, found nothing")
    images = json.loads((run.folder(0) / "manifest.json").read_text())["images"]
    assert [one["status"] for one in images] == ["failed", "failed", "done", "done", "failed"]


def test_a_restart_does_what_is_missing_and_nothing_twice(
    pictures_index: Path, stages: SimpleNamespace, predictor: StagePredictor, results: Results, tmp_path: Path
):
    run = begin_run(pictures_index, stages.vessels, tmp_path / "out", shard_size=4)
    work_on_shards(run, lambda: predictor)
    before = results(run.out)
    times = {path: path.stat().st_mtime_ns for path in run.out.rglob("mask.png")}
    for path in run.folder(2).rglob("*.*"):
        path.unlink()
    again = begin_run(pictures_index, stages.vessels, tmp_path / "out")  # the shard size is the run's own
    reports = work_on_shards(again, lambda: predictor)
    assert [report.images for report in reports] == [4] and results(run.out) == before
    unchanged = [path for path, time in times.items() if path.stat().st_mtime_ns == time]
    assert len(unchanged) == 10
    assert not work_on_shards(again, lambda: pytest.fail("nothing is left to load a network for"))


def test_images_are_read_while_the_network_runs_and_written_behind_it(
    pictures_index: Path, stages: SimpleNamespace, predictor: StagePredictor, tmp_path: Path, monkeypatch
):
    from monai_lora_sam.prediction import shard

    third_read, first_written = threading.Event(), threading.Event()
    read, write = shard.read_colour_image, shard.write_objects

    def read_and_tell(path: str) -> Any:
        if path.endswith("02.png"):
            third_read.set()
        return read(path)

    def write_and_tell(*arguments: Any, **more: Any) -> Any:
        files = write(*arguments, **more)
        first_written.set()
        return files

    class Waiting(StagePredictor):
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, pixels: np.ndarray) -> Any:
            self.calls += 1
            assert third_read.wait(20)  # during the first image
            assert self.calls == 1 or first_written.wait(20)
            return predictor(pixels)

        device, made_by = predictor.device, predictor.made_by  # type: ignore[assignment]

    monkeypatch.setattr(shard, "read_colour_image", read_and_tell)
    monkeypatch.setattr(shard, "write_objects", write_and_tell)
    run = begin_run(pictures_index, stages.vessels, tmp_path / "out", shard_size=4)
    assert run_shard(run, 0, Waiting()).failed == 0


def test_an_error_of_writing_leaves_the_shard_to_be_done(
    pictures_index: Path, stages: SimpleNamespace, predictor: StagePredictor, tmp_path: Path, monkeypatch
):
    from monai_lora_sam.prediction import shard

    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard, "write_objects", full)
    run = begin_run(pictures_index, stages.vessels, tmp_path / "out", shard_size=4)
    with pytest.raises(OSError, match="No space left"):
        work_on_shards(run, lambda: predictor)
    assert not any(map(run.is_done, range(run.shards))) and not list((run.out / "shards").iterdir())
    with pytest.raises(FileNotFoundError):
        summarise_run(run)


def test_the_same_words_segment_each_image(
    pictures_index: Path, text_stage: Path, promptable: Path, tmp_path: Path
):
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"objects": [{"name": "kidney", "text": "left kidney"}]}))
    predictor = StagePredictor(text_stage, prompts, promptable, device="cpu")
    run = begin_run(pictures_index, text_stage, tmp_path / "out", prompts=prompts, shard_size=2)
    run_shard(run, 0, predictor)
    network = load_promptable(weights=promptable, adapter=text_stage, device="cpu")
    image = ImageIndex(pictures_index).rows(1, 2)[0]
    found = segment_image(network, read_colour_image(image.path).pixels, read_prompts(prompts))[0]
    record = json.loads((run.folder(0) / "000000001" / "segmentation.json").read_text())["objects"][0]
    assert (record["text"], record["area_px"]) == ("left kidney", found.mask.sum())


def test_a_stage_on_top_of_another_takes_its_parent(
    pictures_index: Path, stages: SimpleNamespace, tmp_path: Path
):
    with pytest.raises(ValueError, match="vessels"):
        StagePredictor(stages.segments, weights=stages.base, device="cpu")
    predictor = StagePredictor(stages.segments, weights=stages.base, parents=[stages.vessels], device="cpu")
    assert predictor.network.adapters == ("vessels", "segments") and len(predictor.class_names) == 26


def test_a_stage_that_needs_prompts_is_refused_before_anything_is_written(
    pictures_index: Path, tmp_path: Path
):
    stack = AdapterStack(build_encoder("tiny", image_size=56))
    stack.add("spleen", r=2)
    folder = tmp_path / "spleen"
    stack.save("spleen", folder)
    with pytest.raises(
        ValueError, match=r"spleen: expected prompts for this stage \(--prompts\), found none"
    ):
        begin_run(pictures_index, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_run_into_a_folder_is_refused(pictures_index: Path, stages: SimpleNamespace, tmp_path: Path):
    out = tmp_path / "out"
    begin_run(pictures_index, stages.vessels, out, shard_size=4)
    prompts = tmp_path / "prompts.json"
    prompts.write_text('{"objects": [{"text": "liver"}]}')
    other = write_index(tmp_path / "other.parquet", ImageIndex(pictures_index).rows(0, 3))
    for arguments, more, message in (
        (
            (pictures_index, stages.segments),
            {},
            "expected the stage with which .*'vessels'.*found .*'segments'",
        ),
        ((other, stages.vessels), {}, "expected the index with which these predictions were begun"),
        ((pictures_index, stages.vessels), {"prompts": prompts}, "expected the prompts with which"),
        ((pictures_index, stages.vessels), {"shard_size": 5}, "expected the shard size .* 4, found 5"),
        (
            (pictures_index, stages.vessels),
            {"shard_size": 0},
            "shard size: expected 1 to 10000 images, found 0",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            begin_run(*arguments, out, **more)
    with pytest.raises(ValueError, match="expected a new folder or one of predictions, found"):
        begin_run(pictures_index, stages.vessels, tmp_path)
    gone = write_index(tmp_path / "gone.parquet", [IndexedImage("a", "/nowhere/a.png", 1, None)])
    with pytest.raises(FileNotFoundError, match=r"found none of the first 1: /nowhere/a\.png"):
        begin_run(gone, stages.vessels, tmp_path / "new")


def test_a_manifest_of_another_run_is_refused(
    pictures_index: Path, stages: SimpleNamespace, predictor: StagePredictor, tmp_path: Path
):
    run = begin_run(pictures_index, stages.vessels, tmp_path / "out", shard_size=14)
    work_on_shards(run, lambda: predictor)
    path = run.folder(0) / "manifest.json"
    manifest = json.loads(path.read_text())
    for wrong in ({**manifest, "run": "0"}, {**manifest, "images": manifest["images"][1:]}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match="expected the manifest of shard 0 of this run, with 14 images"):
            summarise_run(run)


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, WorkerPlace(0, 1, 0)),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, WorkerPlace(5, 8, 1)),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1"}, WorkerPlace(3, 4, 1)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "14",
                "SLURM_ARRAY_TASK_MIN": "10",
                "SLURM_ARRAY_TASK_STEP": "2",
                "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_PROCID": "1",
                "SLURM_NTASKS": "2",
            },
            WorkerPlace(5, 6, 0),
        ),
    ],
)
def test_the_place_of_a_worker(variables: dict[str, str], place: WorkerPlace):
    assert worker_place(variables) == place


def test_a_wrong_place_is_refused():
    with pytest.raises(ValueError, match="WORLD_SIZE: expected a whole number, found 'two'"):
        worker_place({"RANK": "0", "WORLD_SIZE": "two"})
