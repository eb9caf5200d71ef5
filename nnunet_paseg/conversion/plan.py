"""Plan of a dataset: cases, classes and the origin of their labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from nnunet_paseg.conversion.sources import Source, as_source
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.names import check_names
from nnunet_paseg.seeds.rules import SeedParameters

ImageMode = Literal["copy", "link", "reference"]

MAX_CLASSES = 254
"""Labels are stored as bytes, two of which are background and ignore."""


@dataclass(frozen=True)
class Case:
    """One case of a planned dataset.

    Attributes:
        identifier: nnU-Net's case identifier.
        images: One file (or other source of voxels) per channel, in the order of the channels.
        points: Point file, or a folder of point files. None if points are simulated or the case is dense or unlabelled.
        mask: Dense label map: the reference of a test case, or the labels or the origin of points of a training case.
        annotation: Labels of a training case: ``points``, points ``simulated`` from its mask, or its ``dense`` mask.
        split: ``train`` for imagesTr and labelsTr, ``test`` for imagesTs and, with a mask, labelsTs.
    """

    identifier: str
    images: tuple[Path | Source, ...]
    points: Path | None = None
    mask: Path | Source | None = None
    annotation: Literal["points", "simulated", "dense"] = "points"
    split: Literal["train", "test"] = "train"


@dataclass(frozen=True)
class DatasetPlan:
    """Name, channels, classes and label parameters of a dataset.

    Attributes:
        name: nnU-Net's dataset name, ``DatasetXXX_Name``.
        channel_names: One name per channel. nnU-Net normalises a channel called ``CT`` differently.
        class_names: The K foreground classes. Their labels are 1..K in this order, K+1 is ``ignore``.
        mask_labels: Mask value to label (0..K). Other values in a mask are an error.
        seeds: Parameters of the seed expansion.
        point_seed: Random seed of simulated points.
        validation: Validation cases of nnU-Net's fold 0, which trains on all others.
        crop: (z, y, x) voxels to keep around the bounding box of every case's mask. None keeps whole images.
        images: ``copy`` image files, hard-``link`` them, or leave them in place and ``reference`` them.
        pseudo_labels: Whether the network's masks are written as label maps for stage 2.
        keep_probabilities: Whether the network's probabilities are written.

    Raises:
        PasegError: Names are empty, class names are not distinct, there are too many, or the seed rule has no network
            and its masks or probabilities are to be written.
    """

    name: str
    channel_names: tuple[str, ...]
    class_names: tuple[str, ...]
    mask_labels: Mapping[int, int] = field(default_factory=dict)
    seeds: SeedParameters = field(default_factory=SeedParameters)
    point_seed: int = 0
    validation: tuple[str, ...] = ()
    crop: tuple[int, int, int] | None = None
    images: ImageMode = "copy"
    pseudo_labels: bool = False
    keep_probabilities: bool = False

    def __post_init__(self) -> None:
        if self.images not in get_args(ImageMode):
            raise PasegError(f"Images can be {', '.join(get_args(ImageMode))}: got {self.images!r}.")
        for option in ("pseudo_labels", "keep_probabilities"):
            if getattr(self, option) and self.seeds.rule != "learned":
                raise PasegError(
                    f"--{option.replace('_', '-')} needs the network, which the seed rule {self.seeds.rule} does not "
                    "use: pass --seeds learned, or leave it out."
                )
        if "/" in self.name or os.sep in self.name:
            raise PasegError(f"The dataset's name is {self.name!r}: choose a --name without {os.sep}.")
        check_names(self.class_names, self.channel_names)
        if not 1 <= len(self.class_names) <= MAX_CLASSES:
            raise PasegError(f"A dataset has 1 to {MAX_CLASSES} classes, not {len(self.class_names)}.")

    @property
    def labels(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.class_names, start=1)}

    @property
    def ignore_label(self) -> int:
        return len(self.class_names) + 1


def check_cases(cases: Sequence[Case], plan: DatasetPlan) -> None:
    """Raise PasegError before any work if the cases cannot become the planned dataset.

    Raises:
        PasegError: Identifiers are not unique, there is no training case, or files are missing. Lists every bad case.
    """
    duplicates = sorted(name for name, count in Counter(case.identifier for case in cases).items() if count > 1)
    if duplicates:
        raise PasegError(
            f"Case identifiers must be unique; more than one case is called {duplicates}: rename the files of one."
        )
    training = {case.identifier for case in cases if case.split == "train"}
    if not training - set(plan.validation):
        raise PasegError(f"{plan.name} would have no training case: add training cases with points or masks.")
    if unknown := sorted(set(plan.validation) - training):
        raise PasegError(f"Validation cases must be among the training images; these are not: {unknown}.")
    _check_options(cases, plan)
    raise_problems([problem for case in cases if (problem := _problem(case, plan))], len(cases))


def _check_options(cases: Sequence[Case], plan: DatasetPlan) -> None:
    """Raise PasegError for an option that fits none of the files, instead of one line per case."""
    numbers = {len(case.images) for case in cases}
    if len(numbers) == 1 and numbers != {len(plan.channel_names)}:
        raise PasegError(
            f"Case {cases[0].identifier} has {len(cases[0].images)} image files for the "
            f"{len(plan.channel_names)} channels {list(plan.channel_names)}, and so have all others: name all channels."
        )
    for case in cases:
        if plan.crop and case.mask is None:
            raise PasegError(f"Case {case.identifier} has no mask to crop around: convert whole images.")
        for image in case.images if plan.images != "copy" else ():
            if plan.crop or not (isinstance(image, Path) and image.name.endswith(".nii.gz")):
                raise PasegError(
                    f"Case {case.identifier}: {as_source(image).path} cannot be used unchanged, so a file must be "
                    "written: pass --images copy."
                )


def raise_problems(problems: Sequence[str], number: int) -> None:
    """Raise PasegError with one line per problem, if there is any.

    Args:
        problems: Messages that name their cases.
        number: Number of all cases.
    """
    if not problems:
        return
    lines = [" ".join(problem.split("\n")) for problem in problems]
    if len(lines) > 1:
        lines.insert(
            0,
            f"{len(problems)} of {number} cases cannot be converted. Correct them and run the same command again: "
            "finished cases are kept.",
        )
    raise PasegError("\n".join(lines))


def _problem(case: Case, plan: DatasetPlan) -> str | None:
    """Return what is wrong with a case before any of its files is read, None if nothing is."""
    if not case.identifier.strip() or case.identifier[0] == "." or {"/", os.sep} & set(case.identifier):
        return f"Case {case.identifier!r} cannot be a file name: rename its files."
    if len(case.images) != len(plan.channel_names):
        return (
            f"Case {case.identifier} has {len(case.images)} image files for the {len(plan.channel_names)} channels "
            f"{list(plan.channel_names)}: add or remove files, or correct the channel names."
        )
    voxels = [as_source(item) for item in (*case.images, case.mask) if item is not None]
    for path in [*(source.path for source in voxels), *([case.points] if case.points else [])]:
        try:
            path.stat()
        except (OSError, ValueError) as error:
            reason = "missing" if isinstance(error, FileNotFoundError) else f"no file that can be read ({error})"
            return f"Case {case.identifier}: {path} is {reason}: add the file, or leave out the case."
    if case.split == "train":
        source = "points" if case.annotation == "points" else "mask"
        if getattr(case, source) is None:
            return f"Training case {case.identifier} has no {source}: add the file, or leave out the case."
    return None
