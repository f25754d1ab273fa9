"""Many files: what is written, what is skipped the second time, what happens to bad ones."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.coronary.pipeline import CaseOutcome, CoronaryPipeline, RunOptions, run_files
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


def test_results_inside_the_folder_of_images_are_no_images(
    network: AdaptedSegmenter, picture: Path, tmp_path: Path
):
    study = tmp_path / "study"
    study.mkdir()
    (study / "frame.png").write_bytes(picture.read_bytes())
    pipeline = CoronaryPipeline(network, device="cpu")
    for _ in range(2):
        assert [path.name for path, _ in run_files([study], study / "results", pipeline)] == ["frame.png"]
