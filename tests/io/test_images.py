"""Unreadable images: every reader gives the same reason."""

import re

import nibabel
import numpy as np
import pytest

from nnunet_paseg.conversion.sources import Channel, ImageFile
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.case_scores import Classes, Job, score_case
from nnunet_paseg.io.images import read_array, read_header, read_image
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.report.files import read_labels

READERS = {
    "array": read_array,
    "image": read_image,
    "header": read_header,
    "grid": Grid.from_file,
    "source": lambda path: ImageFile(path).grid(),
    "channel": lambda path: Channel(path, 0).grid(),
    "report": read_labels,
    "scores": lambda path: score_case(Job("a", None, path, Classes({"tumor": (1,)}), "default")),
}


def sheared(path):
    """Two axes at an angle of 73 degrees."""
    affine = np.eye(4)
    affine[0, 1] = 0.3
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), dtype=np.int16), affine)
    image.set_qform(None, code=0)
    nibabel.save(image, path)


BAD = {
    "missing": (lambda path: None, r"Cannot read the image .*a\.nii\.gz: it is missing\."),
    "text": (
        lambda path: path.write_text("text", encoding="utf-8"),
        r"Cannot read the image .*a\.nii\.gz \(it has no NIfTI header\): copy or export it again\.",
    ),
    "sheared": (
        sheared,
        r"Cannot read the image .*a\.nii\.gz \(ITK only supports orthonormal direction cosines\. .*\): copy or export",
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", BAD)
def test_the_reason_is_told(tmp_path, kind, reader):
    spoil, message = BAD[kind]
    spoil(tmp_path / "a.nii.gz")
    with pytest.raises(PasegError) as raised:
        READERS[reader](tmp_path / "a.nii.gz")
    assert re.fullmatch(rf"{message}.*", str(raised.value)), raised.value
