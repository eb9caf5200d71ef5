"""The package's own point file: a CSV table with one line per point."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.points.formats.table import Table, read_table
from nnunet_paseg.points.formats.text import MAX_SHOWN, shown
from nnunet_paseg.points.instance import Instance

HEADER = ("class", "instance", "role", "x_lps_mm", "y_lps_mm", "z_lps_mm")
ROLES = ("foreground", "background")


def write_csv(instances: Sequence[Instance], path: Path) -> None:
    """Write instances as CSV, numbered in their order; reading them returns the same coordinates to the last digit.

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
                    coordinates = [np.format_float_positional(value, min_digits=4) for value in point]
                    writer.writerow([instance.class_name, number, role, *coordinates])


def read_csv(path: Path) -> list[Instance]:
    """Read instances from CSV; a header without rows contains no target.

    Raises:
        PasegError: A column is missing, a role is unknown, or a coordinate is not a number.
    """
    return parse_csv(read_table(path))


def parse_csv(table: Table) -> list[Instance]:
    """Return the instances of a table.

    Raises:
        PasegError: A column is missing, a role is unknown, or a coordinate is not a number.
    """
    points: dict[tuple[str, str], dict[str, list[list[float]]]] = defaultdict(lambda: {role: [] for role in ROLES})
    if missing := [column for column in HEADER if column not in table.columns]:
        raise PasegError(f"{table.path} lacks the columns {missing}: its header must be {','.join(HEADER)}.")
    for row in table.rows:
        class_name, instance, role = (row.cells[column] for column in HEADER[:3])
        if role.casefold() not in ROLES:
            raise PasegError(f"{row.where}: the role is '{shown(role)}', not one of {ROLES}: correct it.")
        if len(class_name) > MAX_SHOWN:
            raise PasegError(f"{row.where}: the class '{shown(class_name)}' is too long: correct it.")
        position = table.position(row, HEADER[3:])
        table.check_end(row, HEADER[:3])
        # A spreadsheet or pandas may have made 1.0 of 1.
        points[class_name, instance.removesuffix(".0")][role.casefold()].append(position.tolist())
    return [
        Instance(class_name, np.array(roles["foreground"]), np.array(roles["background"]))
        for (class_name, _), roles in points.items()
    ]
