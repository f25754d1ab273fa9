"""A small XA cine made by pydicom alone, as an X-ray system would write it."""

from __future__ import annotations

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

XA = "1.2.840.10008.5.1.4.1.1.12.1"


@pytest.fixture
def xa_source():
    """Return a function that makes an XA image of so many frames; keywords set or (None) remove elements."""

    def make(frames: int = 5, rows: int = 48, columns: int = 40, **changes) -> pydicom.Dataset:
        dataset = pydicom.Dataset()
        meta = pydicom.dataset.FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
        dataset.SOPClassUID = meta.MediaStorageSOPClassUID = XA
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        dataset.StudyInstanceUID = pydicom.uid.generate_uid()
        dataset.SeriesInstanceUID = pydicom.uid.generate_uid()
        dataset.StudyDate, dataset.StudyTime = "20240317", "101500"
        dataset.AccessionNumber, dataset.StudyID = "A-4711", "S12"
        dataset.Modality, dataset.Manufacturer = "XA", "Synthetic"
        dataset.ReferringPhysicianName = "Referrer^Rita"
        dataset.PatientName, dataset.PatientID = "Müller^Jörg", "PID-0815"
        dataset.PatientBirthDate, dataset.PatientSex = "19500102", "M"
        dataset.SeriesNumber, dataset.InstanceNumber = 3, 7
        dataset.PatientOrientation = None
        dataset.LossyImageCompression = "00"
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = rows, columns
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelRepresentation, dataset.PixelIntensityRelationship = 0, "LOG"
        dataset.KVP, dataset.ExposureTime, dataset.XRayTubeCurrent = 80, 8, 600
        dataset.RadiationSetting = "GR"
        dataset.PositionerPrimaryAngle, dataset.PositionerSecondaryAngle = -30, 20
        dataset.PositionerMotion = "STATIC"
        dataset.ImagerPixelSpacing = [0.3, 0.3]
        dataset.DistanceSourceToDetector, dataset.DistanceSourceToPatient = 1000, 750
        if frames > 1:
            dataset.NumberOfFrames = frames
            dataset.FrameIncrementPointer, dataset.FrameTime = 0x00181063, 66.7
        pixels = np.random.default_rng(0).integers(0, 255, (frames, rows, columns), dtype=np.uint8)
        dataset.PixelData = pixels.tobytes()
        dataset.file_meta = meta
        for keyword, value in changes.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        return dataset

    return make
