"""DICOM objects that are no angiograms, by headers that pydicom writes."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.uid import UID

from monai_lora_sam.coronary.dicom import non_angiogram_class

DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"
CT = "1.2.840.10008.5.1.4.1.1.2"


def save(source, path, sop_class=None, modality=None):
    if sop_class:
        source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = sop_class
    if modality:
        source.Modality = modality
    source.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(("sop_class", "modality"), [(DOSE_REPORT, "SR"), (CT, "CT")])
def test_other_objects_are_named(tmp_path, xa_source, sop_class, modality):
    path = save(xa_source(1), tmp_path / "a.dcm", sop_class, modality)
    assert non_angiogram_class(path) == f"{UID(sop_class).name}, modality {modality}"


def test_angiograms_and_damaged_files_are_left_to_the_reader(tmp_path, xa_source):
    path = save(xa_source(1), tmp_path / "a.dcm")
    assert non_angiogram_class(path) is None
    (tmp_path / "b.dcm").write_bytes(path.read_bytes()[:200])
    (tmp_path / "c.txt").write_text("hello")
    assert non_angiogram_class(tmp_path / "b.dcm") is None
    assert non_angiogram_class(tmp_path / "c.txt") is None
    assert non_angiogram_class(tmp_path / "missing.dcm") is None


def test_an_angiogram_of_another_modality_is_named(tmp_path, xa_source):
    path = save(xa_source(1), tmp_path / "a.dcm", modality="US")
    assert non_angiogram_class(path).endswith(", modality US")
    assert pydicom.dcmread(path).SOPClassUID.name in non_angiogram_class(path)
