"""DICOM studies through the pipeline: the best frame, SEG and SR, no names if need be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from monai_lora_sam.coronary.dicom import rank_frames
from monai_lora_sam.coronary.images import read_cine
from monai_lora_sam.coronary.phantom import PhantomConfig, generate_cine
from monai_lora_sam.coronary.phantom.dicom import phantom_dataset
from monai_lora_sam.coronary.pipeline import (
    CaseOutcome,
    Catheter,
    CoronaryPipeline,
    RunOptions,
    read_case,
    run_files,
)

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a cine of six frames of 64 pixels as DICOM XA."""
    cine = generate_cine(7, PhantomConfig(image_size=64), frames=6)
    path = tmp_path_factory.mktemp("study") / "Doe_Jane.dcm"
    dataset = phantom_dataset(cine)
    dataset.PatientName = "Doe^Jane"
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="module")
def pipeline(stages: SimpleNamespace) -> CoronaryPipeline:
    folders = (stages.vessels, stages.segments, stages.stenosis)
    return CoronaryPipeline(*folders, score_threshold=0.0, device="cpu", pretrained=stages.base)


def test_the_best_frame_is_taken_and_said(study: Path):
    case = read_case(study)
    best = rank_frames(read_cine(study))[0]
    assert (case.frame_index, case.frames, case.reasons) == (best.index, 6, best.reasons)
    np.testing.assert_array_equal(case.angiogram.pixels, read_cine(study).frames[best.index])
    assert case.frame_facts["frame"]["number"] == best.index + 1
    assert case.angiogram.view is not None and case.angiogram.pixel_spacing_mm is not None


def test_another_frame_by_its_number(study: Path):
    case = read_case(study, frame=2)
    assert case.frame_index == 1 and case.reasons == ("chosen by hand",)
    for number in (0, 7):
        with pytest.raises(
            ValueError, match=rf"Doe_Jane\.dcm: expected a frame from 1 to 6, found frame {number}"
        ):
            read_case(study, frame=number)


@pytest.fixture
def tube(tmp_path: Path) -> Path:
    """A round tube of contrast medium, 10 px wide, across a bright field, blurred by 1 px."""
    rows = np.arange(72)[:, None] * np.ones((1, 120))
    depth = np.sqrt(np.clip(25 - (rows - 36) ** 2, 0, None))
    path = tmp_path / "tube.png"
    Image.fromarray((200 - 12 * gaussian_filter(depth, 1)).astype(np.uint8)).save(path)
    return path


def test_a_catheter_gives_the_spacing_and_the_report_says_so(
    pipeline: CoronaryPipeline, tube: Path, tmp_path: Path
):
    catheter = Catheter(6.0, ((20.0, 36.0), (100.0, 36.0)))
    options = RunOptions(catheter=catheter)
    assert run_files([tube], tmp_path / "out", pipeline, options=options) == [(tube, None)]
    report = json.loads((tmp_path / "out" / "tube" / "report.json").read_text())
    assert report["image"]["pixel_spacing_mm"] == pytest.approx(2.0 / 10, rel=0.05)
    calibration = report["calibration"]
    assert (calibration["method"], calibration["catheter_french"]) == ("catheter", 6.0)
    assert "catheter" in calibration["source"] and "6 French" in calibration["detail"]
    assert not any("Calibration is missing" in warning for warning in report["warnings"])
    outcomes: list[CaseOutcome] = []
    run_files([tube], tmp_path / "out", pipeline, outcomes.append, options)
    run_files([tube], tmp_path / "out", pipeline, outcomes.append)
    assert [one.skipped for one in outcomes] == [True, False]


def test_a_catheter_needs_one_picture_in_which_it_is_seen(
    pipeline: CoronaryPipeline, study: Path, tube: Path, tmp_path: Path
):
    catheter = Catheter(6.0, ((20.0, 10.0), (100.0, 10.0)))
    options = RunOptions(catheter=catheter)
    with pytest.raises(ValueError, match="expected one image with a catheter, found 2"):
        run_files([study, tube], tmp_path / "out", pipeline, options=options)
    ((_, error),) = run_files([study], tmp_path / "out", pipeline, options=options)
    assert error == "expected the frame of 6 that shows the catheter, found none"
    with pytest.raises(ValueError, match=r"tube\.png: "):
        read_case(tube).calibrated(catheter)


def test_results_are_written_as_dicom_and_refer_to_the_frame(
    pipeline: CoronaryPipeline, study: Path, tmp_path: Path
):
    assert run_files([study], tmp_path, pipeline, options=RunOptions(frame=4)) == [(study, None)]
    folder = tmp_path / "Doe_Jane"
    report = json.loads((folder / "report.json").read_text())
    assert report["image"]["frame"] == {"number": 4, "of": 6, "reasons": ["chosen by hand"]}
    assert report["calibration"]["method"] == "distances"
    assert "imager pixel spacing" in report["calibration"]["source"]
    assert not any("DICOM" in warning for warning in report["warnings"])
    source = pydicom.dcmread(study)
    segmentation, structured = (pydicom.dcmread(folder / name) for name in ("segmentation.dcm", "report.dcm"))
    for result in (segmentation, structured):
        assert result.PatientName == "Doe^Jane" and result.StudyInstanceUID == source.StudyInstanceUID
    assert segmentation.Modality == "SEG" and structured.Modality == "SR"
    assert segmentation.SourceImageSequence[0].ReferencedFrameNumber == 4
    vessels = np.asarray(Image.open(folder / "vessels.png")) > 0
    assert segmentation.pixel_array.reshape(-1, 64, 64)[0].sum() == vessels.sum()
    labels = [segment.SegmentLabel for segment in segmentation.SegmentSequence]
    assert len(labels) == 1 + len(report["segments"])
    text = (folder / "report.html").read_text()
    assert "4 of 6" in text and "imager pixel spacing" in text


def test_anonymised_results_say_nothing_of_the_patient(
    pipeline: CoronaryPipeline, study: Path, tmp_path: Path
):
    options = RunOptions(anonymise=True, anonymise_key=b"k" * 32)
    assert run_files([study], tmp_path, pipeline, options=options) == [(study, None)]
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    source = pydicom.dcmread(study)
    hidden = [b"Doe", b"Jane", str(source.PatientID).encode(), str(source.StudyInstanceUID).encode()]
    for path in (*folder.iterdir(), tmp_path / "index.html"):
        assert not [word for word in hidden if word in path.read_bytes()], path.name
    assert (folder / "segmentation.dcm").is_file() and (folder / "report.dcm").is_file()


def mark(dataset: pydicom.Dataset, keep: tuple[str, ...]) -> None:
    """Write a marker into every element of text, dates and private elements included, in sequences too."""
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                mark(item, keep)
        elif element.keyword not in keep and element.VR in ("CS", "SH", "AE", "DA", "TM"):
            element.value = {"DA": "19991231", "TM": "235959"}.get(element.VR, "ZORRO")
        elif element.keyword not in keep and element.VR in ("LO", "LT", "PN", "ST", "UT", "UC", "UR"):
            element.value = "Zorro Zorro"


def test_no_text_of_the_source_reaches_anonymised_results(
    pipeline: CoronaryPipeline, study: Path, tmp_path: Path
):
    dataset = pydicom.dcmread(study)
    texts = ("LO", "LT", "PN", "ST", "UT", "CS", "SH", "AE")
    for tag, entry in pydicom.datadict.DicomDictionary.items():
        vr = entry[0]
        if vr in texts and tag not in dataset and tag >> 16 in (0x8, 0x10, 0x18, 0x20, 0x28, 0x32, 0x40):
            dataset.add_new(tag, vr, "")
    dataset.PixelSpacing, dataset.PixelSpacingCalibrationType = [0.2, 0.2], "FIDUCIAL"
    inner = pydicom.Dataset()
    inner.PatientName, inner.InstitutionName = "", ""
    dataset.RequestAttributesSequence = [inner]
    block = dataset.private_block(0x0019, "ZORRO", create=True)
    block.add_new(1, "LO", "Zorro")
    keep = ("Modality", "PhotometricInterpretation", "PixelSpacingCalibrationType", "SpecificCharacterSet")
    mark(dataset, (*keep, "BurnedInAnnotation"))
    dataset.BurnedInAnnotation = "NO"
    marked = tmp_path / "Zorro.dcm"
    dataset.save_as(marked, enforce_file_format=True)
    bad = tmp_path / "Zorro_bad.dcm"
    dataset.Modality = "ZORRO"
    dataset.save_as(bad, enforce_file_format=True)
    out = tmp_path / "out"
    outcomes = run_files([marked, bad], out, pipeline, options=RunOptions(anonymise=True, frame=2))
    assert [error is None for _, error in outcomes] == [True, False]
    written = [path for path in out.rglob("*") if path.is_file()]
    assert {"report.json", "report.html", "report.dcm", "segmentation.dcm", "lesions.csv", "index.html"} <= {
        path.name for path in written
    }
    for path in written:
        content = path.read_bytes().lower()
        assert b"zorro" not in content and b"19991231" not in content, path.name
        assert "zorro" not in str(path.relative_to(out)).lower()
    report = json.loads(next(out.glob("*/report.json")).read_text())
    assert report["calibration"]["source"].startswith("calibrated on an object of known size")


@pytest.mark.parametrize("change", ["retired class", "no groups", "no number of frames in the groups"])
def test_a_source_that_departs_from_the_standard_costs_its_dicom_results_alone(
    pipeline: CoronaryPipeline, study: Path, tmp_path: Path, change: str
):
    dataset = pydicom.dcmread(study)
    if change == "retired class":
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.12.3"
    else:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.12.1.1"
        count = 4 if change == "no groups" else 0
        dataset.PerFrameFunctionalGroupsSequence = [pydicom.Dataset() for _ in range(count)]
    path = tmp_path / "odd.dcm"
    dataset.save_as(path, enforce_file_format=True)
    assert run_files([path], tmp_path / "out", pipeline, options=RunOptions(frame=6)) == [(path, None)]
    folder = tmp_path / "out" / "odd"
    report = json.loads((folder / "report.json").read_text())
    said = [warning for warning in report["warnings"] if "was not written: " in warning]
    assert said and all("\n" not in warning for warning in said)
    assert (folder / "vessels.png").is_file() and not (folder / "segmentation.dcm").exists()
    assert said[0] in (folder / "report.html").read_text().replace("&#39;", "'").replace("&#34;", '"')


def test_a_source_that_cannot_be_referred_to_is_a_warning(
    pipeline: CoronaryPipeline, study: Path, tmp_path: Path
):
    dataset = pydicom.dcmread(study)
    del dataset.StudyInstanceUID
    path = tmp_path / "bare.dcm"
    dataset.save_as(path)
    assert run_files([path], tmp_path / "out", pipeline, options=RunOptions(frame=1)) == [(path, None)]
    folder = tmp_path / "out" / "bare"
    report = json.loads((folder / "report.json").read_text())
    assert sum("was not written: " in warning for warning in report["warnings"]) == 2
    assert not list(folder.glob("*.dcm"))


def test_without_highdicom_everything_else_is_written(
    pipeline: CoronaryPipeline, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("monai_lora_sam.coronary.pipeline.study.can_write_dicom", lambda: False)
    run_files([study], tmp_path, pipeline, options=RunOptions(frame=1))
    report = json.loads((tmp_path / "Doe_Jane" / "report.json").read_text())
    assert any('pip install "highdicom' in warning for warning in report["warnings"])


def test_a_line_is_no_angiogram(tmp_path: Path):
    Image.fromarray(np.zeros((1, 400), np.uint8)).save(tmp_path / "line.png")
    with pytest.raises(ValueError, match=r"line\.png: expected at least 16 pixels a side, found 1x400"):
        read_case(tmp_path / "line.png")


def test_files_that_are_no_angiograms_are_refused_by_name(study: Path, tmp_path: Path):
    dataset = pydicom.dcmread(study)
    dataset.Modality = "CT"
    dataset.save_as(tmp_path / "ct.dcm")
    with pytest.raises(ValueError, match=r"ct\.dcm: expected an X-ray angiogram \(modality XA\), found"):
        read_case(tmp_path / "ct.dcm")


def test_a_faulty_tag_is_a_warning_of_the_report_and_an_implausible_spacing_an_error(
    pipeline: CoronaryPipeline, study: Path, tmp_path: Path
):
    path, out = tmp_path / "study.dcm", tmp_path / "out"
    dataset = pydicom.dcmread(study)
    dataset.DistanceSourceToPatient, dataset.NumberOfFrames = "1", 1
    del dataset.EstimatedRadiographicMagnificationFactor
    dataset.save_as(path)
    for options in (RunOptions(frame=6), RunOptions(frame=6, view=(-30.0, 20.0), pixel_spacing_mm=0.3)):
        assert run_files([path], out, pipeline, options=options) == [(path, None)]
        report = json.loads((out / "study" / "report.json").read_text())
        assert report["image"]["pixel_spacing_mm"] == options.pixel_spacing_mm
        assert any("expected a magnification of 1.05 to 3" in warning for warning in report["warnings"])
        assert "The file announces 1 frame(s) and holds 6; all were read." in report["warnings"]
    case = read_case(path, frame=1)
    for spacing in (0.0003, 30.0, float("nan")):
        with pytest.raises(ValueError, match=r"study\.dcm: pixel spacing: expected 0\.05 to 2 mm per pixel"):
            case.stated(pixel_spacing_mm=spacing)
        stored = replace(case, angiogram=replace(case.angiogram, pixel_spacing_mm=spacing))
        with pytest.raises(ValueError, match=r"study\.dcm: pixel spacing: expected"):
            stored.stated()
