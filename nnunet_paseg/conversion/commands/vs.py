"""Convert the T2 images of TCIA's Vestibular-Schwannoma-SEG to an nnU-Net raw dataset with simulated points.

The images are read as downloaded from TCIA ("Descriptive Directory Name": VS-SEG-001/<study>/<series>/*.dcm), or as
sorted by the authors of the data (vs_gk_1_t2/*.dcm). The masks are the RT structures next to them. With --labels
FOLDER, the masks are NIfTI files (vs_gk_1_Label.nii.gz, or vs_gk_1/vs_gk_seg_refT2.nii.gz) or contours
(vs_gk_1_t2/contours.json). Cases are called vs_gk_1, vs_gk_2, ...

Example:
    %(prog)s Vestibular-Schwannoma-SEG 110 --split-csv split_VS.csv --crop
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from nnunet_paseg.conversion.commands.common import add_output_arguments, add_seed_arguments
from nnunet_paseg.conversion.dense import DenseCase, add_dense_arguments, convert_dense
from nnunet_paseg.conversion.plan import raise_problems
from nnunet_paseg.conversion.sources import Source
from nnunet_paseg.conversion.sources.dicom import DicomSeries, find_series, read_structures
from nnunet_paseg.conversion.sources.dicom_masks import ContourMask
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import check_folder

CROP = (48, 128, 128)
"""Voxels (z, y, x) around the tumour that PA-Seg was trained and tested on."""
TUMOUR = r"((rt|lt) )?(tv(t1)?|an|tumou?r|men)"
"""Names of the tumour in the data: target volume, acoustic neuroma, meningioma."""
LABELS = ("{case}_Label.nii.gz", "{case}/vs_gk_seg_refT2.nii.gz", "{case}_t2/contours.json", "{case}.nii.gz")


def find_patients(source: Path) -> dict[str, Path]:
    """Find the folder of every patient, by case identifier.

    Raises:
        PasegError: The folder is not that dataset.
    """
    check_folder(source)
    inner = source / "Vestibular-Schwannoma-SEG"
    folder = inner if inner.is_dir() else source
    found = {}
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(r"VS-SEG-(\d+)|vs_gk_(\d+)_t2", path.name)
        if match and path.is_dir():
            found[f"vs_gk_{int(match[1] or match[2])}"] = path
    if not found:
        names = sorted(path.name for path in folder.iterdir())[:5]
        raise PasegError(
            f"{folder} is not Vestibular-Schwannoma-SEG: expected folders VS-SEG-001, VS-SEG-002, ... or vs_gk_1_t2, "
            f"vs_gk_2_t2, ..., found {names}."
        )
    return dict(sorted(found.items(), key=lambda item: int(item[0].rpartition("_")[2])))


def find_series_of(patient: Path) -> dict[Path, list[DicomSeries]]:
    """Find the image series in every folder of a patient that contains files, including the patient's own."""
    folders = [patient, *sorted(path for path in patient.rglob("*") if path.is_dir())]
    return {folder: find_series(folder) for folder in folders if any(path.is_file() for path in folder.iterdir())}


def choose_t2(patient: Path, series: Iterable[DicomSeries]) -> DicomSeries:
    """Return the T2 series of a patient.

    Raises:
        PasegError: There is none, or more than one.
    """
    series = list(series)
    matching = [one for one in series if one.modality == "MR" and "t2_" in one.description.lower()]
    if len(matching) != 1:
        raise PasegError(
            f"{patient} contains {len(matching)} MR series with 't2_' in the SeriesDescription, expected one; found "
            f"{sorted(f'{one.modality} {one.description}' for one in series)}."
        )
    return matching[0]


def find_label(case: str, labels: Path, image: DicomSeries, structure: str) -> Path | Source:
    """Find the mask of a case in a folder of masks.

    Raises:
        PasegError: There is none.
    """
    for name in LABELS:
        path = labels / name.format(case=case)
        if path.exists():
            return ContourMask(path, image, structure) if path.suffix == ".json" else path
    raise PasegError(f"{labels} contains no mask of {case}: expected one of {[n.format(case=case) for n in LABELS]}.")


def find_structures(
    patient: Path, series: Mapping[Path, Sequence[DicomSeries]], image: DicomSeries, structure: str
) -> Source:
    """Find the RT structures that were drawn on an image.

    Raises:
        PasegError: There are none.
    """
    for folder, found in series.items():
        images = {path for one in found for path in one.files}
        for file in sorted(path for path in folder.glob("*.dcm") if path not in images):
            if image.uid in read_structures(file)[0]:
                return ContourMask(file, image, structure)
    raise PasegError(
        f"{patient} contains no RT structures of its T2 image: download them with the images, or pass masks with "
        "--labels."
    )


def main(arguments: argparse.Namespace) -> None:
    """Convert as specified on the command line."""
    found, problems, patients = [], [], find_patients(arguments.source)
    for case, patient in patients.items():
        try:
            series = find_series_of(patient)
            image = choose_t2(patient, chain.from_iterable(series.values()))
            if arguments.labels:
                mask = find_label(case, arguments.labels, image, arguments.structure)
            else:
                mask = find_structures(patient, series, image, arguments.structure)
        except PasegError as error:
            problems.append(f"Case {case}: {error}")
            continue
        found.append(DenseCase(case, (image,), mask))
    raise_problems(problems, len(patients))
    convert_dense(
        found,
        arguments,
        name="VS",
        channel_names=("T2",),
        classes={"tumor": [1]},
        crop=CROP if arguments.crop else None,
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of VS-SEG-001, VS-SEG-002, ... or vs_gk_1_t2, ...")
    parser.add_argument("dataset_id", type=int, help="ID of the new dataset, 1-999")
    parser.add_argument("--labels", type=Path, help="folder of masks (default: the RT structures next to the images)")
    parser.add_argument("--structure", default=TUMOUR, help="name of the contoured tumour, as a regular expression")
    parser.add_argument(
        "--crop",
        action="store_true",
        help="keep 48 x 128 x 128 voxels (z, y, x) around the dense mask, as PA-Seg did; requires masks of all cases",
    )
    add_dense_arguments(parser)
    add_seed_arguments(parser)
    add_output_arguments(parser)
    return parser
