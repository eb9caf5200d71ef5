"""DICOM files for tests: image series written by SimpleITK, RT structure sets by pydicom."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

ROOT_UID = "1.2.826.0.1.3680043.8.498"


def write_series(image, folder, *, description, number):
    """Write one file per slice and return the SeriesInstanceUID."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = f"{ROOT_UID}.{number}"
    axes = np.reshape(image.GetDirection(), (3, 3)).T
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index in range(image.GetDepth()):
        part = image[:, :, index]
        position = image.TransformIndexToPhysicalPoint((0, 0, index))
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": f"{uid}.{index + 1}",
            "0008|0060": "MR",
            "0008|103e": description,
            "0010|0020": "patient",
            "0018|0050": str(image.GetSpacing()[2]),
            "0020|000d": f"{ROOT_UID}.0",
            "0020|000e": uid,
            "0020|0013": str(index + 1),
            "0020|0032": "\\".join(f"{value:.6f}" for value in position),
            "0020|0037": "\\".join(f"{value:.6f}" for value in axes[:2].ravel()),
        }
        for key, value in tags.items():
            part.SetMetaData(key, value)
        # Named so that the files' order is not that of the slices.
        writer.SetFileName(str(folder / f"1-{(7 * index) % 97:02d}.dcm"))
        writer.Execute(part)
    return uid


def write_structures(path, series_uid, structures):
    """Write an RT structure set: contours by name, each (n, 3) points in world LPS millimetres."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import ExplicitVRLittleEndian

    def item(**values):
        data = Dataset()
        for name, value in values.items():
            setattr(data, name, Sequence(value) if isinstance(value, list) and name.endswith("Sequence") else value)
        return data

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    meta.MediaStorageSOPInstanceUID = f"{series_uid}.9999"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = item(
        SOPClassUID=meta.MediaStorageSOPClassUID,
        SOPInstanceUID=meta.MediaStorageSOPInstanceUID,
        Modality="RTSTRUCT",
        PatientID="patient",
        StudyInstanceUID=f"{ROOT_UID}.0",
        SeriesInstanceUID=f"{series_uid}.8888",
        ReferencedFrameOfReferenceSequence=[
            item(RTReferencedStudySequence=[item(RTReferencedSeriesSequence=[item(SeriesInstanceUID=series_uid)])])
        ],
        StructureSetROISequence=[
            item(ROINumber=number, ROIName=name) for number, name in enumerate(structures, start=1)
        ],
        ROIContourSequence=[
            item(
                ReferencedROINumber=number,
                ContourSequence=[
                    item(
                        ContourGeometricType="CLOSED_PLANAR",
                        NumberOfContourPoints=len(contour),
                        ContourData=[f"{value:.4f}" for value in np.ravel(contour)],
                    )
                    for contour in contours
                ],
            )
            for number, contours in enumerate(structures.values(), start=1)
        ],
    )
    data.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
