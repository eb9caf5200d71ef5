"""Record of a converted case: its input files, the number of voxels per label, and warnings."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.conversion.sources import as_source
from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.inputs import input_state
from nnunet_paseg.points.instance import Instance, VoxelInstance
from nnunet_paseg.seeds.expand import Expansion

FEW_SEEDS = 10
"""Voxels per target: a class with fewer seeds in a case gets a warning."""


def record_file(folder: Path, case: Case) -> Path:
    """Return the path of a case's record, which exists once the case is complete."""
    return folder / "records" / f"{case.identifier}.json"


def is_converted(folder: Path, case: Case) -> bool:
    """Return whether a case was converted from its current files, and not before its points were corrected."""
    try:
        record = json.loads(record_file(folder, case).read_text(encoding="utf-8"))
        return bool(record["made_of"] == case_state(case))
    except (OSError, PasegError, ValueError, KeyError, TypeError):
        return False  # no record, or files that are gone: the conversion of the case names them


def case_state(case: Case) -> dict[str, list[int]]:
    """Return size and modification time (ns) of every input file of a case, by path."""
    sources = [as_source(item) for item in (*case.images, case.mask) if item is not None]
    return input_state([file for source in sources for file in source.files], case.points)


def statistics(
    labels: npt.NDArray[np.uint8],
    instances: list[Instance],
    placed: list[VoxelInstance],
    plan: DatasetPlan,
    expansion: Expansion,
    spacing_mm: Sequence[float],
) -> dict[str, Any]:
    """Return the number and extents of the targets, the voxels per label, estimated volumes and warnings of a case.

    Args:
        labels: Label map (z, y, x) of the case.
        instances: Its targets.
        placed: The targets on the grid of the label map.
        plan: Dataset with its classes.
        expansion: Expansion of the targets.
        spacing_mm: Spacing (z, y, x).
    """
    counts = np.zeros(plan.ignore_label + 1, dtype=np.int64)
    for plane in labels:
        counts += np.bincount(plane.ravel(), minlength=len(counts))
    names = ("background", *plan.class_names, "ignore")
    result: dict[str, Any] = {
        "instances": len(instances),
        "voxels": {name: int(count) for name, count in zip(names, counts, strict=True)},
        "extents_mm": {
            name: [extents_mm(target, spacing_mm) for target in placed if target.label == label]
            for name, label in plan.labels.items()
            if any(target.label == label for target in placed)
        },
    }
    volumes, voxel_mm3 = expansion.volumes, math.prod(spacing_mm)
    if plan.seeds.rule == "learned":
        # Of the classes with targets only. Digits instead of decimals: micro-CT has targets of 1e-6 mm³.
        result["likely_volume_mm3"] = {
            name: float(f"{volumes[label] * voxel_mm3:.4g}") for name, label in plan.labels.items() if label in volumes
        }
    warnings = [
        f"target {number} ('{instance.class_name}'): {' and '.join(problems)}: check its points"
        for number, (instance, problems) in enumerate(zip(instances, expansion.problems, strict=False), start=1)
        if problems
    ]
    more_seeds = "lower --foreground-probability" if plan.seeds.rule == "learned" else "raise --threshold"
    for name in sorted({instance.class_name for instance in instances}):
        targets, seeds = sum(instance.class_name == name for instance in instances), result["voxels"][name]
        if not seeds:
            warnings.append(f"no voxel is left for the seeds of '{name}': other classes are nearer everywhere")
        elif seeds < FEW_SEEDS * targets:
            warnings.append(
                f"only {seeds} voxels of seeds for {targets} target{'s' * (targets > 1)} of '{name}': "
                f"check its points, or {more_seeds}"
            )
    if warnings:
        result["warning"] = "; ".join(warnings)
    return result


def extents_mm(target: VoxelInstance, spacing_mm: Sequence[float]) -> list[float]:
    """Return the extents (z, y, x) of a target's box in mm, with four digits."""
    return [float(f"{(side.stop - side.start) * size:.4g}") for side, size in zip(target.box, spacing_mm, strict=True)]
