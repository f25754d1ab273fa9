"""``monai-lora-sam run``, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from monai_lora_sam.cli.main import app
from monai_lora_sam.coronary.cli.run import _stages
from monai_lora_sam.coronary.stages import SHIPPED


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 60), dtype=np.uint8)
    path = tmp_path / "angiogram.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def run(stages: SimpleNamespace, tmp_path: Path):
    """Return the command on the random stages, writing to `tmp_path / "out"`."""

    def call(*arguments: object, count: int = 3) -> Result:
        options = []
        for name in ("vessels", "segments", "stenosis")[:count]:
            options += [f"--{name}", getattr(stages, name)]
        options += ["--out", tmp_path / "out", "--weights", stages.base, "--device", "cpu"]
        return CliRunner().invoke(app, ["run", *map(str, [*arguments, *options])])

    return call


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_two_or_three_stages(run, picture: Path, tmp_path: Path, count: int):
    result = run(picture, "--stages", count, count=count)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "angiogram"
    report = json.loads((folder / "report.json").read_text())
    assert [row["stage"] for row in report["stages"]] == ["vessels", "segments", "stenosis"][:count]
    assert ("segments" in report, "lesions" in report) == (count > 1, count > 2)
    assert (folder / "segments.png").is_file() == (count > 1)
    assert np.asarray(Image.open(folder / "vessels.png")).shape == (50, 60)
    assert "1 of 1 done" in result.output
    assert "angiogram.png: " in result.output  # a line for each case


def test_view_and_spacing(run, picture: Path, tmp_path: Path):
    result = run(picture, "--view", -30, 20, "--spacing", 0.3, "--no-graph", "--stages", 2, count=2)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "angiogram" / "report.json").read_text())
    assert report["image"]["view"] == {"primary_deg": -30.0, "secondary_deg": 20.0}
    assert report["image"]["pixel_spacing_mm"] == 0.3
    assert report["run"]["graph"] is False


def test_the_index_shows_the_score_of_confirmed_lesions(run, picture: Path, tmp_path: Path):
    lesion = {"segments": ["6"], "percent_diameter_stenosis": 72, "rvd_mm": 3.1}
    confirmed = tmp_path / "confirmed.json"
    confirmed.write_text(json.dumps({"confirmed": True, "dominance": "right", "lesions": [lesion]}))
    result = run(picture, "--stages", 1, "--confirmed", confirmed, count=1)
    assert result.exit_code == 0, result.output
    assert "SYNTAX score 7, right dominance" in (tmp_path / "out" / "index.html").read_text()
    confirmed.write_text(json.dumps({"confirmed": False, "dominance": "right", "lesions": [lesion]}))
    result = run(picture, "--stages", 1, "--confirmed", confirmed, count=1)
    assert result.exit_code == 1 and 'expected "confirmed": true' in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--view", 300, 0],
            "error: view: expected a primary angle within 180 degrees of 0, found 300",
        ),
        (["--view", "nan", "nan"], "error: view: expected two angles in degrees, found nan and nan"),
        (["--spacing", 0], "error: pixel spacing: expected 0.05 to 2 mm per pixel at the patient, found 0"),
        (
            ["--spacing", "1e300"],
            "error: pixel spacing: expected 0.05 to 2 mm per pixel at the patient, found 1e+300",
        ),
        (["--stages", 3], "--stages 3: expected --segments, trained on the stage of --vessels, found none"),
        (["--frame", 7], "angiogram.png: expected frame 1 of a single picture, found frame 7"),
    ],
)
def test_what_is_out_of_range_is_one_line(run, picture: Path, options: list, message: str):
    result = run(picture, *options, count=1)
    assert result.exit_code == 1
    assert message in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--catheter-french", 6], "expected --catheter-french and --catheter together"),
        (["--catheter", 1, 2, 3, 4], "expected --catheter-french and --catheter together"),
        (
            ["--catheter-french", 6, "--catheter", 5, 5, 40, 5, "--spacing", 0.3],
            "expected --spacing or a catheter",
        ),
        (["--catheter-french", 60, "--catheter", 5, 5, 40, 5], "expected a catheter of 3 to 12 French"),
    ],
)
def test_a_catheter_is_given_whole(run, picture: Path, options: list, message: str):
    result = run(picture, *options, count=1)
    assert result.exit_code == 1 and message in result.output and "Traceback" not in result.output


def test_bad_files_are_named_at_the_end_and_the_second_run_skips_the_good_ones(
    run, picture: Path, tmp_path: Path
):
    (tmp_path / "broken.png").write_bytes(b"not an image")
    result = run(picture, tmp_path / "broken.png", count=1)
    assert result.exit_code == 1
    assert "1 of 2 done" in result.output
    last = result.output.splitlines()[-1]
    assert last.startswith(f"failed: {tmp_path / 'broken.png'}: expected") and "ValueError" not in last
    again = run(picture, count=1)
    assert again.exit_code == 0 and "finished earlier" in again.output
    assert "finished earlier" not in run(picture, "--again", count=1).output


def test_other_dicom_files_of_a_folder_are_skipped_and_no_failure(run, picture: Path, tmp_path: Path):
    pydicom = pytest.importorskip("pydicom")
    dose = pydicom.Dataset()
    dose.file_meta = pydicom.dataset.FileMetaDataset()
    dose.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dose.SOPClassUID = dose.file_meta.MediaStorageSOPClassUID = pydicom.uid.XRayRadiationDoseSRStorage
    dose.SOPInstanceUID = dose.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dose.Modality, dose.PatientName = "SR", "Doe^Jane"
    dose.save_as(tmp_path / "Jane Doe.dcm", enforce_file_format=True)
    for _ in range(2):  # the second time the results lie in the folder, too
        result = run(tmp_path, count=1)
        assert result.exit_code == 0, result.output
        said = "Jane Doe.dcm: skipped, not an angiogram (X-Ray Radiation Dose SR Storage, modality SR)"
        assert said in result.output and "1 of 1 done, 1 skipped" in result.output
    assert "Jane Doe" in (tmp_path / "out" / "index.html").read_text()
    run(tmp_path, "--anonymise", count=1)
    assert "Doe" not in (tmp_path / "out" / "index.html").read_text()
    alone = run(tmp_path / "Jane Doe.dcm", count=1)
    assert alone.exit_code == 1 and "Jane Doe.dcm: expected a readable DICOM image" in alone.output


def test_anonymised_results_do_not_name_the_file(run, picture: Path, tmp_path: Path):
    picture = picture.rename(tmp_path / "Jane Doe.png")
    bad = tmp_path / "John Doe.png"
    bad.write_bytes(b"not an image")
    key = tmp_path / "key"
    result = run(picture, bad, "--anonymise-key", key, count=1)
    assert result.exit_code == 1 and key.stat().st_mode & 0o077 == 0
    out = tmp_path / "out"
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    for path in (*folder.iterdir(), out / "index.html"):
        assert b"Doe" not in path.read_bytes() and "Doe" not in path.name
    assert json.loads((folder / "report.json").read_text())["image"]["file"] == folder.name
    assert "finished earlier" in run(picture, "--anonymise-key", key, count=1).output
    key.write_text("short")
    assert (
        "expected a secret of at least 32 characters" in run(picture, "--anonymise-key", key, count=1).output
    )


def test_what_is_missing_is_said_in_one_line(run, tmp_path: Path):
    result = run(tmp_path / "nowhere.png", count=1)
    assert result.exit_code == 1
    assert "nowhere.png" in result.output and "Traceback" not in result.output


def test_the_shipped_stages_are_those_that_are_there(
    monkeypatch: pytest.MonkeyPatch, stages: SimpleNamespace, capsys: pytest.CaptureFixture
):
    nothing = dict.fromkeys(("vessels", "segments", "stenosis"))
    assert _stages(1, nothing) == {"vessels": SHIPPED / "vessels"}
    all_shipped = {name: SHIPPED / name for name in nothing}
    monkeypatch.setattr("monai_lora_sam.coronary.pipeline.shipped_stages", lambda _: all_shipped)
    assert _stages(3, nothing) == all_shipped
    # A shipped stage 2 was not trained on top of one's own stage 1.
    own = stages.vessels
    assert _stages(None, {**nothing, "vessels": own}) == {"vessels": own}
    assert "Stages from segments on are left out" in capsys.readouterr().out
    with pytest.raises(
        ValueError, match="--stages 3: expected --segments, trained on the stage of --vessels"
    ):
        _stages(3, {**nothing, "vessels": own})
    assert _stages(3, {**nothing, "stenosis": stages.stenosis}) == {
        **all_shipped,
        "stenosis": stages.stenosis,
    }
    with pytest.raises(
        ValueError, match=r"vessels: expected a stage of task 'stenosis', found one of 'vessels'"
    ):
        _stages(3, {**nothing, "stenosis": own})


def test_stages_that_do_not_go_together_are_refused(stages: SimpleNamespace):
    own = stages.vessels
    with pytest.raises(ValueError, match="--segments: expected --stages 2, found 1"):
        _stages(1, {"vessels": own, "segments": stages.segments, "stenosis": None})
    with pytest.raises(ValueError, match="--stenosis: expected the stage below it by --segments, found none"):
        _stages(3, {"vessels": own, "segments": None, "stenosis": stages.stenosis})
