"""Anonymise an angiogram's header (PS3.15 Annex E, Basic Application Level Confidentiality Profile)."""

from __future__ import annotations

import copy
import hashlib
import hmac
import secrets
from uuid import UUID

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian

from monai_lora_sam.coronary.dicom.writing import name_of

#: Attributes that an anonymised header keeps: storage of the pixels, acquisition and size of a pixel, none of them
#: free text about a person. All other elements are removed, private elements, overlays and dates included.
KEPT = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        # kind of object
        *(
            "SpecificCharacterSet",
            "ImageType",
            "SOPClassUID",
            "Modality",
        ),
        *("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "Laterality"),
        *("BodyPartExamined", "BurnedInAnnotation", "LossyImageCompression", "LossyImageCompressionRatio"),
        *("LossyImageCompressionMethod", "PresentationLUTShape"),
        # pixels
        *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows"),
        *("Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelAspectRatio"),
        *("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue", "WindowCenter"),
        *("WindowWidth", "RescaleIntercept", "RescaleSlope", "RescaleType", "PixelIntensityRelationship"),
        *("PixelIntensityRelationshipSign", "RedPaletteColorLookupTableDescriptor"),
        *("GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor"),
        *("RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData"),
        *(
            "BluePaletteColorLookupTableData",
            "PixelData",
            "ExtendedOffsetTable",
            "ExtendedOffsetTableLengths",
        ),
        # time within the run, not of the day
        *("FrameIncrementPointer", "FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate"),
        *("StartTrim", "StopTrim", "PreferredPlaybackSequencing"),
        # X-ray and geometry
        *("KVP", "ExposureTime", "XRayTubeCurrent", "Exposure", "AveragePulseWidth", "RadiationSetting"),
        *(
            "RadiationMode",
            "IntensifierSize",
            "FieldOfViewShape",
            "FieldOfViewDimensions",
            "ImagerPixelSpacing",
        ),
        *(
            "PixelSpacing",
            "PixelSpacingCalibrationType",
            "DistanceSourceToDetector",
            "DistanceSourceToPatient",
        ),
        *("DistanceSourceToIsocenter", "EstimatedRadiographicMagnificationFactor", "PositionerMotion"),
        *("PositionerType", "PositionerPrimaryAngle", "PositionerSecondaryAngle"),
        *("PositionerPrimaryAngleIncrement", "PositionerSecondaryAngleIncrement"),
        *("ObjectPixelSpacingInCenterOfBeam", "DistanceObjectToTableTop", "TableHeight", "BeamAngle"),
        # functional groups of enhanced XA, and in them only the attributes of this list
        *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "FrameContentSequence"),
        *("PositionerPositionSequence", "FramePixelDataPropertiesSequence", "XRayGeometrySequence"),
        *("ProjectionPixelCalibrationSequence", "PixelMeasuresSequence", "PixelValueTransformationSequence"),
        *("FrameVOILUTSequence", "FrameAcquisitionNumber", "DimensionIndexValues"),
    )
)
#: Terms that kept elements of text may have. Any other text may hold a name, whatever the element is for.
TERMS = frozenset(
    (
        *(
            "ISO_IR 192",
            "ISO_IR 100",
            "ISO_IR 6",
            "ORIGINAL",
            "DERIVED",
            "PRIMARY",
            "SECONDARY",
            "SINGLE PLANE",
        ),
        *(
            "BIPLANE A",
            "BIPLANE B",
            "SINGLE A",
            "SINGLE B",
            "XA",
            "RF",
            "OT",
            "L",
            "R",
            "B",
            "U",
            "HEART",
            "CHEST",
        ),
        *("CORONARYARTERY", "CORONARY", "YES", "NO", "00", "01", "ISO_10918_1", "ISO_14495_1", "ISO_15444_1"),
        *(
            "IDENTITY",
            "INVERSE",
            "MONOCHROME1",
            "MONOCHROME2",
            "PALETTE COLOR",
            "RGB",
            "YBR_FULL",
            "YBR_FULL_422",
        ),
        *(
            "YBR_RCT",
            "YBR_ICT",
            "US",
            "LIN",
            "LOG",
            "DISP",
            "OTHER",
            "SC",
            "GR",
            "CONTINUOUS",
            "PULSED",
            "ROUND",
        ),
        *("RECTANGLE", "HEXAGONAL", "GEOMETRY", "FIDUCIAL", "STATIC", "DYNAMIC", "CARM", "COLUMN", "NONE"),
    )
)
_TEXT = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_NEW_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
# Type 2: present without a value.
_EMPTIED = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    "ReferringPhysicianName",
)
_KEY_OF_THIS_RUN = secrets.token_bytes(32)


def anonymise(dataset: Dataset, key: bytes | None = None) -> Dataset:
    """Return a copy of an angiogram's data set without the patient's identity.

    SEG, SR and report made from the copy hold no identity either. The copy keeps only the technical attributes of
    `KEPT`, and of their texts only the `TERMS`, which is stricter than the profile. Keyed hashes (HMAC-SHA256)
    replace UIDs and the patient's id: equal values stay equal under one key, and cannot be traced back without it.
    Pixels are not changed.

    Args:
        dataset: data set with or without pixels; it is not changed.
        key: secret; by default a random key of this process. Runs whose results shall agree need the same key.

    Raises:
        ValueError: the file says that text is burned into its pixels, which pictures in a report would show.

    Example:
        >>> anonymise(pydicom.dcmread("cine.dcm")).PatientName  # doctest: +SKIP
        'Anonymous^ANON-3F19C0A2D1B7E604'
    """
    if str(dataset.get("BurnedInAnnotation") or "").strip().upper() == "YES":
        raise ValueError(
            f"{name_of(dataset)}: cannot be made anonymous: Burned In Annotation (0028,0301) is YES, so its pixels "
            "may show the patient's name"
        )
    result = _kept(dataset)
    for keyword in _NEW_UIDS:
        if dataset.get(keyword):
            setattr(result, keyword, _new_uid(dataset.get(keyword), key))
    for keyword in _EMPTIED:
        setattr(result, keyword, None)
    result.PatientID = _pseudonym(
        "ANON", str(dataset.get("PatientID") or dataset.get("PatientName") or ""), key
    )
    result.PatientName = f"Anonymous^{result.PatientID}"
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = "monai-lora-sam: list of kept attributes"
    profile = Dataset()
    profile.CodeValue, profile.CodingSchemeDesignator = "113100", "DCM"
    profile.CodeMeaning = "Basic Application Confidentiality Profile"
    result.DeidentificationMethodCodeSequence = [profile]
    result.LongitudinalTemporalInformationModified = "REMOVED"
    before = getattr(dataset, "file_meta", None)
    if before is not None:
        result.file_meta = FileMetaDataset()
        result.file_meta.TransferSyntaxUID = before.get("TransferSyntaxUID") or ImplicitVRLittleEndian
        result.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    return result


def anonymous_name(dataset: Dataset, key: bytes | None = None) -> str:
    """Return a name for an image's results; the file's own name often holds the patient's.

    The same image gets the same name under one key. The data set before :func:`anonymise` and the data set after it
    give two names: use one of them throughout.

    Example:
        >>> anonymous_name(dataset)  # doctest: +SKIP
        'angiogram-9B62E01D44C0A7F3'
    """
    return _pseudonym("angiogram", str(dataset.SOPInstanceUID), key)


def _kept(dataset: Dataset) -> Dataset:
    """Copy the elements of `KEPT`, in sequences too; of text those values alone that are among `TERMS`."""
    result = Dataset()
    for tag in dataset.keys():  # noqa: SIM118 - elements are converted only when they are asked for
        if tag not in KEPT:
            continue
        element = dataset[tag]
        if element.VR == "SQ":
            setattr(result, element.keyword, [_kept(item) for item in element.value])
        elif element.VR in _TEXT:
            values = [element.value] if element.VM == 1 else list(element.value or ())
            setattr(
                result, element.keyword, [value for value in values if str(value).strip() in TERMS] or None
            )
        else:
            result[tag] = copy.deepcopy(element)
    return result


def _digest(text: str, key: bytes | None) -> bytes:
    return hmac.new(key or _KEY_OF_THIS_RUN, text.encode(), hashlib.sha256).digest()


def _new_uid(uid: str, key: bytes | None) -> str:
    """Return a UID of the form that PS3.5 B.2 derives from a UUID."""
    return f"2.25.{UUID(bytes=_digest(str(uid), key)[:16], version=4).int}"


def _pseudonym(prefix: str, text: str, key: bytes | None) -> str:
    return f"{prefix}-{_digest(text, key)[:8].hex().upper()}"
