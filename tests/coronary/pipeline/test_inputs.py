"""Files of a folder that are run: angiograms, and nothing that a study or an earlier run also holds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.coronary.dicom import write_segmentation, write_structured_report
from monai_lora_sam.coronary.phantom import PhantomConfig, generate_cine
from monai_lora_sam.coronary.phantom.dicom import phantom_dataset
from monai_lora_sam.coronary.pipeline import find_images
from monai_lora_sam.images import detect_format

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")


def test_an_image_given_twice_is_run_once(picture: Path):
    assert len(find_images([picture, picture.parent]).images) == 1


def test_missing_inputs_are_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        find_images([tmp_path / "nowhere.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="expected images"):
        find_images([tmp_path / "empty"])


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write what a disc holds: a cine, its SEG and SR, a presentation state, another modality, a DICOMDIR."""
    folder = tmp_path_factory.mktemp("disc")
    cine = phantom_dataset(generate_cine(3, PhantomConfig(image_size=64), frames=2))
    cine.save_as(folder / "IM0001", enforce_file_format=True)
    vessels = np.eye(64, dtype=bool)
    write_segmentation(folder / "IM0002", cine, 0, vessels)
    write_structured_report(folder / "IM0003.dcm", cine, 0, {"lesions": []})

    def other(name: str, sop_class: str, modality: str | None, pixels: bool) -> None:
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        if modality is not None:
            dataset.Modality = modality
        if pixels:
            dataset.Rows = dataset.Columns = 4
            dataset.BitsAllocated = 8
            dataset.PixelData = bytes(16)
        dataset.save_as(folder / name, enforce_file_format=True)

    other("IM0004", pydicom.uid.GrayscaleSoftcopyPresentationStateStorage, "PR", pixels=False)
    other("IM0005", pydicom.uid.UltrasoundMultiFrameImageStorage, "IVUS", pixels=True)
    other("IM0006", pydicom.uid.EncapsulatedPDFStorage, "OT", pixels=False)
    other("DICOMDIR", pydicom.uid.MediaStorageDirectoryStorage, None, pixels=False)
    return folder


def test_what_is_no_angiogram_is_left_out_and_named(disc: Path):
    found = find_images([disc])
    assert [path.name for path in found.images] == ["IM0001"]
    assert {path.name: reason for path, reason in found.skipped} == {
        "IM0002": "not an angiogram (Segmentation Storage, modality SEG)",
        "IM0003.dcm": "not an angiogram (Comprehensive SR Storage, modality SR)",
        "IM0004": "not an angiogram (Grayscale Softcopy Presentation State Storage, modality PR)",
        "IM0005": "not an angiogram (Ultrasound Multi-frame Image Storage, modality IVUS)",
        "IM0006": "not an angiogram (Encapsulated PDF Storage, modality OT)",
        "DICOMDIR": "not an angiogram (DICOMDIR)",
    }


def test_a_file_that_is_given_itself_is_never_left_out(disc: Path):
    found = find_images([disc / "IM0003.dcm", disc])
    assert {path.name for path in found.images} == {"IM0001", "IM0003.dcm"}
    assert "IM0003.dcm" not in {path.name for path, _ in found.skipped}


def test_damaged_files_are_not_left_out(disc: Path, tmp_path: Path):
    whole = (disc / "IM0001").read_bytes()
    for name, content in {
        "half.dcm": whole[: len(whole) // 2],
        "header.dcm": whole[:400],
        "empty.dcm": b"",
        "text.dcm": b"this is no DICOM file " * 20,
    }.items():
        (tmp_path / name).write_bytes(content)
    found = find_images([tmp_path])
    assert len(found.images) == 4 and not found.skipped


def test_a_folder_of_nothing_but_other_files_is_an_error(disc: Path, tmp_path: Path):
    (tmp_path / "dose.dcm").write_bytes((disc / "IM0003.dcm").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"found 1 other files \(not an angiogram \(Comprehensive SR"):
        find_images([tmp_path])


def test_results_of_earlier_runs_are_no_input(disc: Path, tmp_path: Path):
    finished, stopped, out = tmp_path / "results" / "a", tmp_path / "results" / "b", tmp_path / "out"
    for folder in (finished, stopped, out):
        folder.mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "vessels.png")
    (finished / "report.json").write_text(json.dumps({"schema": "monai-lora-sam/report/2"}))
    (finished / "segmentation.dcm").write_bytes((disc / "IM0002").read_bytes())
    (stopped / "probability.npz").touch()
    own = tmp_path / "own"
    own.mkdir()
    (own / "report.json").write_text("[]")  # of another program
    (tmp_path / "._frame.png").write_bytes(b"of the system")
    for folder in (tmp_path, own):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "frame.png")
    found = find_images([tmp_path], out)
    assert [path.relative_to(tmp_path).as_posix() for path in found.images] == [
        "frame.png",
        "own/frame.png",
    ]
    assert [path.name for path, _ in found.skipped] in ([], ["report.json"])
    # The results may go into the folder of the images itself.
    assert len(find_images([own], own).images) == 1


def test_a_link_that_leads_back_is_not_followed(picture: Path):
    (picture.parent / "again").symlink_to(picture.parent)
    found = find_images([picture.parent])
    assert len(found.images) == 1
    assert [(path.name, reason) for path, reason in found.skipped] == [("again", "a link to a folder")]


def test_the_search_goes_on_past_what_cannot_be_read(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "locked").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "bad.png").write_bytes(picture.read_bytes())
    latin = Path(os.fsdecode(os.fsencode(tmp_path) + b"/art\xe8re.png"))
    latin.write_bytes(picture.read_bytes())
    listing, detect = Path.iterdir, detect_format

    def iterdir(folder: Path):
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    def read(path: Path) -> str:
        if path.name == "bad.png":
            raise PermissionError(13, "Permission denied")
        return detect(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    monkeypatch.setattr("monai_lora_sam.coronary.pipeline.inputs.detect_format", read)
    found = find_images([tmp_path])
    assert {path.name for path in found.images} == {picture.name, latin.name}
    assert {path.name: reason for path, reason in found.skipped} == {
        "locked": "a folder that cannot be read (Permission denied)",
        "notes.txt": "not a picture",
        "gone.png": "a link to nothing",
        "bad.png": "cannot be read (Permission denied)",
    }


def test_dicom_without_an_extension_is_found_by_content(tmp_path: Path):
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(8))
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(8))
    (tmp_path / "notes").write_text("no image")
    assert [path.name for path in find_images([tmp_path]).images] == ["IM0001"]
