"""Description files of a dataset: nnU-Net's dataset.json and splits_final.json, and the record paseg.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json
from tqdm import tqdm

import nnunet_paseg
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.conversion.record import record_file
from nnunet_paseg.conversion.sources import as_source
from nnunet_paseg.io.files import write_json

TOOL = f"nnunet-paseg {nnunet_paseg.__version__}"


def describe(folder: Path, cases: Sequence[Case], plan: DatasetPlan) -> None:
    """Write dataset.json, splits_final.json and paseg.json from the plan and the records of all cases."""
    training = [case for case in cases if case.split == "train"]
    records = {case.identifier: json.loads(record_file(folder, case).read_text(encoding="utf-8")) for case in cases}
    for identifier, record in records.items():
        del record["made_of"]  # the state of the input files matters for resuming only
        if "warning" in record:
            tqdm.write(f"Warning: case {identifier}: {record['warning']}.")
    voxels = [records[case.identifier].get("voxels") for case in training]  # not counted in dense masks
    absent = [name for name in plan.class_names if all(counts and not counts[name] for counts in voxels)]
    if absent:
        tqdm.write(f"Warning: no training case has seeds of class {', '.join(absent)}: check the classes.")
    _write_dataset_json(folder, training, plan, records)
    if plan.validation:
        split = {
            "train": [case.identifier for case in training if case.identifier not in plan.validation],
            "val": [case.identifier for case in training if case.identifier in plan.validation],
        }
        # nnU-Net's planner copies it to the preprocessed dataset.
        write_json([split], folder / "splits_final.json")
    record = {
        "tool": TOOL,
        "seeds": plan.seeds.record(),
        "point_seed": plan.point_seed,
        **({"crop": plan.crop} if plan.crop else {}),
        "cases": records,
    }
    write_json(record, folder / "paseg.json")


def _write_dataset_json(
    folder: Path, training: Sequence[Case], plan: DatasetPlan, records: Mapping[str, dict[str, Any]]
) -> None:
    further: dict[str, Any] = {}
    if plan.images == "reference":
        further["dataset"] = {
            case.identifier: {
                "images": [str(as_source(image).path.resolve()) for image in case.images],
                "label": f"labelsTr/{case.identifier}.nii.gz",
            }
            for case in training
        }
    volumes = {case.identifier: records[case.identifier].get("likely_volume_mm3") for case in training}
    # For the volume calibration of the trainers.
    further["likely_volume_mm3"] = {case: volume for case, volume in volumes.items() if volume}
    # For the window of the gated CRF loss.
    further["target_extents_mm"] = _median_extents([records[case.identifier] for case in training], plan)
    generate_dataset_json(
        str(folder),
        dict(enumerate(plan.channel_names)),
        {"background": 0, **plan.labels, "ignore": plan.ignore_label},
        len(training),
        ".nii.gz",
        dataset_name=plan.name,
        license="that of the images",  # nnU-Net's default text asks for a licence
        converted_by=TOOL,
        **further,
    )


def _median_extents(records: Sequence[Mapping[str, Any]], plan: DatasetPlan) -> dict[str, list[float]]:
    """Return the median extents (z, y, x) in mm of the targets of every class, without classes that have none."""
    targets = {
        name: [extents for record in records for extents in record.get("extents_mm", {}).get(name, [])]
        for name in plan.class_names
    }
    return {
        name: [float(f"{value:.4g}") for value in np.median(each, axis=0)] for name, each in targets.items() if each
    }
