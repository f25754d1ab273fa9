"""Many files: what is written, what is skipped the second time, what happens to bad ones."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.coronary.pipeline import (
    AngiogramRun,
    CaseOutcome,
    CoronaryPipeline,
    RunOptions,
    run_files,
)
from monai_lora_sam.networks import AdaptedSegmenter


def test_run_writes_every_file_at_the_images_size(network: AdaptedSegmenter, picture: Path, tmp_path: Path):
    out = tmp_path / "out"
    outcomes = run_files([picture], out, CoronaryPipeline(network, device="cpu"))
    assert outcomes == [(picture, None)]
    folder = out / "vessel"
    assert {p.name for p in folder.iterdir()} == {
        "vessels.png",
        "probability.npz",
        "report.json",
        "overlay.png",
        "report.html",
    }
    mask = np.asarray(Image.open(folder / "vessels.png"))
    assert mask.shape == (72, 54) and set(np.unique(mask)) <= {0, 255}
    probability = np.load(folder / "probability.npz")["vessels"]
    assert probability.shape == (72, 54)
    np.testing.assert_array_equal(mask > 0, probability >= 0.5)
    report = json.loads((folder / "report.json").read_text())
    assert report["vessels"]["area_px"] == int((mask > 0).sum())
    assert (out / "index.html").is_file()


def test_bad_files_are_listed_and_the_others_done(network: AdaptedSegmenter, picture: Path, tmp_path: Path):
    study = tmp_path / "study"
    study.mkdir()
    (study / "good.png").write_bytes(picture.read_bytes())
    (study / "half.png").write_bytes(picture.read_bytes()[:60])
    (study / "empty.jpg").touch()
    outcomes = dict(run_files([study], tmp_path / "out", CoronaryPipeline(network, device="cpu")))
    by_name = {path.name: error for path, error in outcomes.items()}
    assert by_name["good.png"] is None
    assert str(by_name["half.png"]).startswith("expected a readable PNG")
    assert by_name["empty.jpg"] == "expected an image, found an empty file"
    assert "half.png" in (tmp_path / "out" / "index.html").read_text()


def test_the_index_keeps_what_earlier_runs_finished(network: AdaptedSegmenter, picture: Path, tmp_path: Path):
    pipeline, out = CoronaryPipeline(network, device="cpu"), tmp_path / "out"
    other = tmp_path / "other.png"
    other.write_bytes(picture.read_bytes())
    for path in (picture, other):
        run_files([path], out, pipeline)
    assert "2 done, 0 failed" in (out / "index.html").read_text()
    run_files([other], out, pipeline, options=RunOptions(anonymise=True))
    assert "1 done, 0 failed" in (out / "index.html").read_text()
    (out / "vessel" / "overlay.png").unlink()
    picture.write_bytes(b"not an image")
    run_files([picture], out, pipeline)  # its earlier result is of another picture
    page = (out / "index.html").read_text()
    assert "2 done, 1 failed" in page and "vessel/report.html" not in page


def test_bad_files_of_one_name_are_all_listed(network: AdaptedSegmenter, tmp_path: Path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "frame.png").write_bytes(b"not an image")
    run_files(
        [tmp_path / "first", tmp_path / "second"], tmp_path / "out", CoronaryPipeline(network, device="cpu")
    )
    assert "2 failed" in (tmp_path / "out" / "index.html").read_text()


@pytest.fixture
def pipeline(stages: SimpleNamespace) -> CoronaryPipeline:
    return CoronaryPipeline(
        stages.vessels,
        stages.segments,
        stages.stenosis,
        score_threshold=0.0,
        device="cpu",
        pretrained=stages.base,
    )


def test_three_stages_write_segments_and_lesions(pipeline: CoronaryPipeline, picture: Path, tmp_path: Path):
    assert run_files([picture], tmp_path / "out", pipeline) == [(picture, None)]
    folder = tmp_path / "out" / "vessel"
    segments = np.asarray(Image.open(folder / "segments.png"))
    assert segments.shape == (72, 54) and segments.dtype == np.uint8 and segments.max() <= 25
    report = json.loads((folder / "report.json").read_text())
    assert {row["id"] for row in report["segments"]} == set(np.unique(segments)) - {0}
    assert isinstance(report["lesions"], list)
    with Image.open(folder / "overlay.png") as overlay:
        assert overlay.width > 54  # with a legend
    text = (folder / "report.html").read_text()
    assert "<h2>Segments</h2>" in text and "<h2>Lesions</h2>" in text


def run(picture: Path, out: Path, pipeline: CoronaryPipeline, **options) -> CaseOutcome:
    outcomes: list[CaseOutcome] = []
    run_files([picture], out, pipeline, outcomes.append, RunOptions(**options))
    (outcome,) = outcomes
    assert outcome.error is None
    return outcome


def test_what_is_finished_is_skipped_until_something_changes(
    pipeline: CoronaryPipeline, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    result = pipeline(picture)
    monkeypatch.setattr(
        CoronaryPipeline, "__call__", lambda *_, **__: copy.deepcopy(result)
    )  # it is the slow part
    out = tmp_path / "out"
    assert not run(picture, out, pipeline).skipped
    written = (out / "vessel" / "report.json").read_bytes()
    again = run(picture, out, pipeline)
    assert again.skipped and again.summary.endswith("lesions") and again.folder == out / "vessel"
    assert (out / "vessel" / "report.json").read_bytes() == written
    assert "1 done, 0 failed" in (out / "index.html").read_text()

    assert not run(picture, out, pipeline, again=True).skipped
    assert not run(picture, out, pipeline, view=(10.0, 5.0)).skipped
    assert run(picture, out, pipeline, view=(10.0, 5.0)).skipped
    assert not run(picture, out, pipeline, pixel_spacing_mm=0.3).skipped
    pipeline.graph = not pipeline.graph
    assert not run(picture, out, pipeline).skipped
    monkeypatch.setattr("monai_lora_sam.coronary.pipeline.files.__version__", "99")
    assert not run(picture, out, pipeline).skipped
    before = (out / "vessel" / "vessels.png").read_bytes()
    with (out / "vessel" / "vessels.png").open("ab") as file:  # bytes that no run wrote
        file.write(b"0")
    assert not run(picture, out, pipeline).skipped
    assert (out / "vessel" / "vessels.png").read_bytes() == before
    (out / "vessel" / "notes.txt").write_text("of a reader")
    assert not run(picture, out, pipeline, again=True).skipped
    assert (out / "vessel" / "notes.txt").read_text() == "of a reader"
    (out / "vessel" / "vessels.png").unlink()
    assert not run(picture, out, pipeline).skipped
    Image.fromarray(np.full((72, 54), 90, np.uint8)).save(picture)  # another picture under the same name
    other = run(picture, out, pipeline)
    assert not other.skipped and other.folder == out / "vessel_png"
    assert run(picture, out, pipeline).skipped
    assert (out / "vessel" / "vessels.png").is_file()


def test_other_stages_are_run_again_and_leave_nothing_of_the_earlier_ones(
    pipeline: CoronaryPipeline, stages: SimpleNamespace, picture: Path, tmp_path: Path
):
    run(picture, tmp_path / "out", pipeline)
    one = CoronaryPipeline(stages.vessels, device="cpu", pretrained=stages.base)
    assert not run(picture, tmp_path / "out", one).skipped
    assert not (tmp_path / "out" / "vessel" / "segments.png").exists()


def test_unsaved_networks_are_always_run(network: AdaptedSegmenter, picture: Path, tmp_path: Path):
    pipeline = CoronaryPipeline(network, device="cpu")
    assert not run(picture, tmp_path / "out", pipeline).skipped
    assert not run(picture, tmp_path / "out", pipeline).skipped


def test_a_stopped_run_leaves_no_finished_case(
    pipeline: CoronaryPipeline, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("monai_lora_sam.coronary.report.result.write_page", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_files([picture], tmp_path / "out", pipeline)
    assert not run(picture, tmp_path / "out", pipeline).skipped


@pytest.mark.parametrize("place", ["vessels.png", "segments.png", "probability.npz", "overlay.png", "report"])
def test_a_run_killed_at_any_file_leaves_the_old_results_or_none(
    pipeline: CoronaryPipeline, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    result = pipeline(picture)
    monkeypatch.setattr(CoronaryPipeline, "__call__", lambda *_, **__: copy.deepcopy(result))
    out, rename = tmp_path / "out", os.replace

    def killed(source, target):
        if Path(target).name.startswith(place):
            raise KeyboardInterrupt
        rename(source, target)

    for before in (None, "an earlier result"):
        if before:
            run(picture, out, pipeline)
        old = {path.name: path.read_bytes() for path in out.glob("vessel/*")}
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                run(picture, out, pipeline, again=True)
        assert {path.name: path.read_bytes() for path in out.glob("vessel/*")} == old
    assert run(picture, out, pipeline).skipped


def test_two_patients_with_one_file_name_keep_their_results(
    network: AdaptedSegmenter, picture: Path, tmp_path: Path
):
    pipeline, out = CoronaryPipeline(network, device="cpu"), tmp_path / "out"
    paths = [tmp_path / f"patient{number}" / "IM0001.png" for number in (1, 2)]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        pixels = np.asarray(Image.open(picture))
        Image.fromarray(np.roll(pixels, 9 * number, axis=1)).save(path)
        assert run_files([path], out, pipeline) == [(path, None)]
    masks = {path.parent.name: path.read_bytes() for path in out.glob("*/probability.npz")}
    assert set(masks) == {"IM0001", "IM0001_png"} and len(set(masks.values())) == 2
    sources = {
        path.parent.name: json.loads(path.read_text())["run"]["source"] for path in out.glob("*/report.json")
    }
    assert sources == {"IM0001": str(paths[0]), "IM0001_png": str(paths[1])}
    rows = (out / "images.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[0].startswith("image,folder,status,error,")


def test_names_that_lead_elsewhere_stay_inside(network: AdaptedSegmenter, picture: Path, tmp_path: Path):
    latin = os.fsdecode(os.fsencode(tmp_path) + b"/art\xe8re.png")
    paths = [tmp_path / "...png", tmp_path / "[b] =1.png", Path(latin)]
    for path in paths:
        path.write_bytes(picture.read_bytes())
    out = tmp_path / "results" / "out"
    assert [error for _, error in run_files(paths, out, CoronaryPipeline(network, device="cpu"))] == [
        None
    ] * 3
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"image", "[b] =1", "art_re"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert "art\ufffdre" in (out / "index.html").read_text(encoding="utf-8")


def test_two_runs_do_not_write_into_one_folder(network: AdaptedSegmenter, picture: Path, tmp_path: Path):
    pipeline, out = CoronaryPipeline(network, device="cpu"), tmp_path / "out"
    first = AngiogramRun([picture], out, pipeline)
    with (
        first.alone(),
        pytest.raises(ValueError, match="out: expected no other run to write into this folder"),
    ):
        run_files([picture], out, pipeline)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        run_files([picture], tmp_path / "file", pipeline)


def test_results_inside_the_folder_of_images_are_no_images(
    network: AdaptedSegmenter, picture: Path, tmp_path: Path
):
    study = tmp_path / "study"
    study.mkdir()
    (study / "frame.png").write_bytes(picture.read_bytes())
    pipeline = CoronaryPipeline(network, device="cpu")
    for _ in range(2):
        assert [path.name for path, _ in run_files([study], study / "results", pipeline)] == ["frame.png"]
