"""What a dataset is to be made of: its cases, its classes and how their labels come about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nnunet_paseg.errors import PasegError
from nnunet_paseg.seeds import SeedParameters


@dataclass(frozen=True)
class Case:
    """One case of a dataset to be.

    Attributes:
        identifier: nnU-Net's case identifier.
        images: one file a channel, in the order of the channels.
        points: point file; None where points are simulated or the case is dense or unlabelled.
        mask: dense label map; scores a test case, and trains or simulates for a training case.
        annotation: what a training case teaches: its ``points``, points ``simulated`` from its mask, or its whole
            ``dense`` mask.
        split: ``train`` goes to imagesTr/labelsTr, ``test`` to imagesTs and, where there is a mask, labelsTs.
    """

    identifier: str
    images: tuple[Path, ...]
    points: Path | None = None
    mask: Path | None = None
    annotation: Literal["points", "simulated", "dense"] = "points"
    split: Literal["train", "test"] = "train"


@dataclass(frozen=True)
class DatasetPlan:
    """What a dataset will be called and how its labels are made.

    Attributes:
        name: nnU-Net's dataset name, ``DatasetXXX_Name``.
        channel_names: one name a channel; nnU-Net normalises a channel called ``CT`` differently.
        class_names: the K foreground classes; their labels are 1..K in this order, K+1 is ``ignore``.
        mask_labels: value in the dense masks to label here (0..K); values that are not named are refused.
        seeds: how points are expanded.
        point_seed: seed of simulated points.
    """

    name: str
    channel_names: tuple[str, ...]
    class_names: tuple[str, ...]
    mask_labels: Mapping[int, int] = field(default_factory=dict)
    seeds: SeedParameters = field(default_factory=SeedParameters)
    point_seed: int = 0

    @property
    def labels(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.class_names, start=1)}

    @property
    def ignore_label(self) -> int:
        return len(self.class_names) + 1


def check_cases(cases: Sequence[Case], plan: DatasetPlan) -> None:
    """Refuse, before any work, cases that cannot become the planned dataset.

    Raises:
        PasegError: names that are not unique, no training case, files that are missing.
    """
    identifiers = [case.identifier for case in cases]
    duplicates = sorted({name for name in identifiers if identifiers.count(name) > 1})
    if duplicates:
        raise PasegError(f"Case identifiers must be unique; more than one case is called {duplicates[:5]}.")
    if not any(case.split == "train" for case in cases):
        raise PasegError(f"{plan.name} would have no training case.")
    for case in cases:
        if len(case.images) != len(plan.channel_names):
            raise PasegError(
                f"Case {case.identifier} has {len(case.images)} image files for the {len(plan.channel_names)} "
                f"channels {list(plan.channel_names)}."
            )
        needed = [*case.images, *(path for path in (case.points, case.mask) if path is not None)]
        for path in needed:
            if not path.is_file():
                raise PasegError(f"Case {case.identifier}: {path} is missing.")
        if case.split == "train":
            source = "points" if case.annotation == "points" else "mask"
            if getattr(case, source) is None:
                raise PasegError(
                    f"Training case {case.identifier} is to learn from its {source}, but there is no file."
                )
