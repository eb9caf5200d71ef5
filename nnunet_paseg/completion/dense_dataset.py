"""A dense nnU-Net dataset of completed masks, for stock training and for release."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json

import nnunet_paseg
from nnunet_paseg.completion.dataset import FILE_ENDING, SPLITS, ClickedDataset, TrainingCase
from nnunet_paseg.completion.folder import CompletionFolder
from nnunet_paseg.conversion.images import image_name, place_image
from nnunet_paseg.conversion.plan import ImageMode
from nnunet_paseg.conversion.sources import as_source
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output, write_json
from nnunet_paseg.io.nnunet_folders import nnunet_folder

TOOL = f"nnunet-paseg {nnunet_paseg.__version__}"


def free_target(number: str, dataset: ClickedDataset) -> Path:
    """Return the folder of the new dataset, which has the name of the clicked one and a different number.

    Args:
        number: Number of the new dataset.
        dataset: Clicked dataset.

    Raises:
        PasegError: It is no number of a dataset, or a dataset, a plan or a model has it already.
    """
    if not re.fullmatch(r"\d{1,3}", number) or int(number) == 0:
        raise PasegError(f"--as-dataset {number} is no number of a dataset: pass 1 to 999.")
    prefix = f"Dataset{int(number):03d}_"
    # nnU-Net searches all of them, and stops if a number has two names.
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        folder = nnunet_folder(variable)
        if folder is not None and (found := sorted(folder.glob(f"{prefix}*"))):
            raise PasegError(f"{found[0]} exists already: choose a different number for --as-dataset.")
    return dataset.folder.with_name(prefix + dataset.folder.name.partition("_")[2])


def write_dataset(
    target: Path,
    dataset: ClickedDataset,
    cases: Sequence[TrainingCase],
    folder: CompletionFolder,
    records: Mapping[str, dict[str, Any]],
    images: ImageMode,
) -> None:
    """Write a dataset whose training labels are the completed masks. It has no ignore label.

    Args:
        target: Folder of the dataset, which does not exist.
        dataset: Clicked dataset. Its splits are those of the new dataset.
        cases: Its training cases, all of them completed.
        folder: Folder of the masks.
        records: Record of every case.
        images: ``copy`` image files, hard-``link`` them, or leave them in place and ``reference`` them.

    Raises:
        PasegError: The dataset cannot be written.
    """
    further: dict[str, Any] = {}
    try:
        with atomic_output(target) as new:
            (new / "labelsTr").mkdir(parents=True)
            if images != "reference":
                (new / "imagesTr").mkdir()
            for case in cases:
                name = case.identifier + FILE_ENDING
                shutil.copyfile(folder.mask(case.identifier), new / "labelsTr" / name)
                if images == "reference":
                    files = {"images": [str(path.resolve()) for path in case.images], "label": f"labelsTr/{name}"}
                    further.setdefault("dataset", {})[case.identifier] = files
                    continue
                for channel, path in enumerate(case.images):
                    place = new / "imagesTr" / image_name(case.identifier, channel)
                    place_image(as_source(path), place, mode=images, window=None, read=False)
            generate_dataset_json(
                str(new),
                {int(number): name for number, name in dataset.channel_names.items()},
                {"background": 0, **dataset.labels},
                len(cases),
                FILE_ENDING,
                dataset_name=target.name,
                license="that of the images",  # nnU-Net's default text asks for a licence
                converted_by=TOOL,
                **further,
            )
            if dataset.splits:
                write_json(dataset.splits, new / SPLITS)  # nnU-Net's planner copies it
            keys = ("annotation", "trained_on", "confidence", "weights")
            kept = {case.identifier: {key: records[case.identifier][key] for key in keys} for case in cases}
            record = {"tool": TOOL, "completed_from": dataset.folder.name, "cases": kept}
            write_json({**record, **folder.description}, new / "paseg.json")
    except OSError as error:
        raise PasegError(
            f"{error.filename or target}: {error.strerror or error}: make room there, and run the same command again."
        ) from error
