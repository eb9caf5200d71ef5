"""The package's own point file: a CSV table with one line per point."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.points.formats.text import read_text
from nnunet_paseg.points.instance import Instance

HEADER = ("class", "instance", "role", "x_lps_mm", "y_lps_mm", "z_lps_mm")
ROLES = ("foreground", "background")


def write_csv(instances: Sequence[Instance], path: Path) -> None:
    """Write instances as CSV, numbered in their order.

    Args:
        instances: Targets of a case.
        path: CSV file, written atomically.
    """
    with atomic_output(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for number, instance in enumerate(instances, start=1):
            for role in ROLES:
                for point in getattr(instance, role):
                    writer.writerow([instance.class_name, number, role, *(f"{value:.4f}" for value in point)])


def read_csv(path: Path) -> list[Instance]:
    """Read instances from CSV.

    Raises:
        PasegError: A column is missing, a role is unknown, or a coordinate is not a number.
    """
    points: dict[tuple[str, str], dict[str, list[list[float]]]] = defaultdict(lambda: {role: [] for role in ROLES})
    reader = csv.DictReader(io.StringIO(read_text(path)))
    missing = [column for column in HEADER if column not in (reader.fieldnames or ())]
    if missing:
        raise PasegError(f"{path} lacks the columns {missing}; its header must be {','.join(HEADER)}.")
    for line, row in enumerate(reader, start=2):
        if row["role"] not in ROLES:
            raise PasegError(f"{path}, line {line}: the role is '{row['role']}', not one of {ROLES}: correct it.")
        try:
            position = [float(row[column]) for column in HEADER[3:]]
        except (TypeError, ValueError):
            raise PasegError(
                f"{path}, line {line}: {[row[c] for c in HEADER[3:]]} are not three numbers: correct them."
            ) from None
        if not np.isfinite(position).all():
            raise PasegError(f"{path}, line {line}: a {row['role']} point is not finite: correct or delete it.")
        points[row["class"], row["instance"]][row["role"]].append(position)
    return [
        Instance(class_name, np.array(roles["foreground"]), np.array(roles["background"]))
        for (class_name, _), roles in points.items()
    ]
