"""Write phantoms as DICOM X-ray angiograms, single frames and cines."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filewriter import validate_file_meta
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from monai_lora_sam import __version__
from monai_lora_sam.coronary.phantom.cine import PhantomCine, generate_cine
from monai_lora_sam.coronary.phantom.dataset import config_json, truth_json
from monai_lora_sam.coronary.phantom.phantom import Phantom, PhantomConfig
from monai_lora_sam.files import atomic_file, atomic_write

XA_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.12.1")
#: Phantoms were never taken: all carry this date and time, so that the same seed gives the same bytes.
STUDY_DATE, STUDY_TIME = "20260101", "120000"


def phantom_dataset(phantom: Phantom | PhantomCine) -> FileDataset:
    """Return a phantom as an XA image (DICOM PS3.3 A.14), multi-frame for a cine.

    It has the attributes of type 1 and 2 of all mandatory modules, view angles, distances and imager pixel spacing,
    and a patient who is plainly synthetic. UIDs follow from the seed, so that equal phantoms are equal files.
    """
    first = phantom.frames[0].phantom if isinstance(phantom, PhantomCine) else phantom
    pixels = phantom.images if isinstance(phantom, PhantomCine) else phantom.image
    entropy = ["monai-lora-sam phantom", str(first.seed), hashlib.sha256(pixels.tobytes()).hexdigest()]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = XA_IMAGE_STORAGE
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[*entropy, "instance"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.FileMetaInformationGroupLength = 0  # pydicom counts it when it writes.
    validate_file_meta(meta)
    dataset = FileDataset("", {}, b"\x00" * 128, meta, is_implicit_VR=False, is_little_endian=True)
    dataset.SOPClassUID, dataset.SOPInstanceUID = XA_IMAGE_STORAGE, meta.MediaStorageSOPInstanceUID
    _add_patient_and_study(dataset, first, entropy)
    _add_acquisition(dataset, first)
    _add_pixels(dataset, pixels)
    if isinstance(phantom, PhantomCine):
        dataset.NumberOfFrames = len(phantom.frames)
        dataset.FrameIncrementPointer = Tag("FrameTime")
        dataset.FrameTime = _decimal(1000 / phantom.frames_per_second)
        rate = round(phantom.frames_per_second)
        dataset.CineRate = dataset.RecommendedDisplayFrameRate = rate
    return dataset


def _add_patient_and_study(dataset: FileDataset, phantom: Phantom, entropy: list[str]) -> None:
    dataset.PatientName, dataset.PatientID = f"Phantom^Synthetic {phantom.seed}", f"PHANTOM-{phantom.seed}"
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[*entropy, "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[*entropy, "series"])
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = STUDY_DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = STUDY_TIME
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, 1
    dataset.StudyDescription = "Synthetic coronary angiogram"
    dataset.SeriesDescription = f"{phantom.side} coronary artery"
    dataset.BodyPartExamined = "HEART"
    dataset.Modality, dataset.Manufacturer = "XA", "monai-lora-sam"
    dataset.ManufacturerModelName, dataset.SoftwareVersions = "phantom", __version__
    dataset.ImageComments = f"Drawn from a model (seed {phantom.seed}); not a patient"


def _add_acquisition(dataset: FileDataset, phantom: Phantom) -> None:
    arm = phantom.arm
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    dataset.PatientOrientation = ""
    dataset.ContrastBolusAgent = "synthetic"
    dataset.KVP = dataset.XRayTubeCurrent = dataset.ExposureTime = dataset.Exposure = None
    dataset.RadiationSetting = "GR"
    dataset.DistanceSourceToDetector = _decimal(arm.source_detector_mm)
    dataset.DistanceSourceToPatient = _decimal(arm.source_patient_mm)
    dataset.EstimatedRadiographicMagnificationFactor = _decimal(
        arm.source_detector_mm / arm.source_patient_mm
    )
    dataset.ImagerPixelSpacing = [_decimal(arm.imager_spacing_mm)] * 2
    dataset.PositionerMotion = "STATIC"
    dataset.PositionerPrimaryAngle = _decimal(arm.primary_deg)
    dataset.PositionerSecondaryAngle = _decimal(arm.secondary_deg)


def _add_pixels(dataset: FileDataset, pixels: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelIntensityRelationship = "DISP"
    dataset.LossyImageCompression = "00"
    data = pixels.tobytes()
    dataset.PixelData = data + b"\x00" * (len(data) % 2)
    dataset["PixelData"].VR = "OB"


def _decimal(value: float) -> str:
    return f"{value:.12g}"  # A decimal string holds 16 characters.


def write_phantom_dicom(path: str | os.PathLike[str], phantom: Phantom | PhantomCine) -> Path:
    """Write a phantom as a DICOM X-ray angiogram (XA), multi-frame for a cine, and return the path.

    Example:
        >>> write_phantom_dicom("cine.dcm", generate_cine(7))  # doctest: +SKIP
    """
    path = Path(path)
    with atomic_file(path) as temporary:
        phantom_dataset(phantom).save_as(temporary)
    return path


def prepare_cines(
    out: str | os.PathLike[str],
    count: int,
    seed: int = 0,
    frames: int = 45,
    progress: Callable[[int, int], None] | None = None,
    config: PhantomConfig | None = None,
) -> list[Path]:
    """Write `count` cines as DICOM XA under a folder, each with its truth beside it, and return their paths.

    `cine_<seed>.dcm` and `cine_<seed>.json`. The truth is written last; a resumed run looks for it.

    Args:
        out: folder, made when missing.
        count: number of cines.
        seed: cine i is that of the seed `seed · 1 000 003 + i`, as for phantoms.
        frames: frames of each.
        progress: called with (done, count) after each cine.
        config: settings of the drawing; by default phantoms that all have a lesion.

    Raises:
        ValueError: a count below 1, or a folder whose cines were drawn with other settings.

    Example:
        >>> prepare_cines("cines", count=2)  # doctest: +SKIP
    """
    if count < 1:
        raise ValueError(f"expected a count of at least 1, found {count}")
    config = config or PhantomConfig(lesion_probability=1.0)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        number = seed * 1_000_003 + index
        path = folder / f"cine_{number:09d}.dcm"
        _prepare_one(path, number, frames, config)
        paths.append(path)
        if progress is not None:
            progress(index + 1, count)
    return paths


def _prepare_one(path: Path, seed: int, frames: int, config: PhantomConfig) -> None:
    truth_path = path.with_suffix(".json")
    if truth_path.exists():
        truth = json.loads(truth_path.read_text())
        expected = {"config": config_json(config), "frames": frames}
        found = {"config": truth["config"], "frames": len(truth["frames"])}
        if found != expected:
            raise ValueError(
                f"{truth_path}: expected a cine of {expected}, found {found}; choose an empty folder"
            )
        return
    cine = generate_cine(seed, config, frames)
    write_phantom_dicom(path, cine)
    atomic_write(truth_path, json.dumps(cine_truth(cine)))


def cine_truth(cine: PhantomCine) -> dict[str, Any]:
    """Return the truth of a cine as plain JSON values; points are (x, y) = (column, row).

    Facts of the whole run stand at the top; `frames` has each frame's time, phase, filling, motion and lesions.
    Centrelines and masks are those of `generate_cine` with the same seed and configuration.
    """
    common = truth_json(cine.frames[0].phantom, cine.config)
    frames = []
    for frame in cine.frames:
        row = {name: round(getattr(frame, name), 5) for name in ("time_s", "phase", "filling", "motion_px")}
        frames.append(row | {"lesions": truth_json(frame.phantom, cine.config)["lesions"]})
    left_out = ("centrelines", "lesions")
    return {key: value for key, value in common.items() if key not in left_out} | {
        "frames_per_second": cine.frames_per_second,
        "heart_rate_per_minute": round(60 / cine.motion.period_s, 2),
        "frames": frames,
    }
