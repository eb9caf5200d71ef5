"""Sources of public datasets: image files, 4D files, DICOM series, masks as contours, published splits."""

from nnunet_paseg.conversion.sources.images import Channel, ImageFile, InOneFile, Source, as_source

__all__ = ["Channel", "ImageFile", "InOneFile", "Source", "as_source"]
