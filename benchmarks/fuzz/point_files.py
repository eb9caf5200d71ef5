"""Point files of a known case in every format, as text or voxels that mutations can change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from benchmarks.fuzz.scene import Scene

FCSV_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
TEXT_FORMATS = ("mrk.json", "fcsv", "csv", "Slicer csv", "Slicer tsv", "napari csv")
MAP_FORMATS = ("nii", "nii.gz", "nrrd", "mha", "mhd")
RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Table:
    """A table before it becomes text.

    Attributes:
        suffix: Suffix of the file.
        columns: Names of the columns.
        rows: Cells.
        delimiter: Character between cells.
        comments: Lines above the table; "{columns}" is replaced by the names of the columns.
        naming: Columns that names depend on.
        coordinates: Columns of the coordinates.
        state: Column of the state, and its value for a point that is placed.
    """

    suffix: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    delimiter: str = ","
    comments: tuple[str, ...] = ()
    naming: tuple[str, ...] = ()
    coordinates: tuple[str, ...] = ()
    state: tuple[str, str] | None = None

    def lines(self) -> list[str]:
        """Return the lines of the file."""
        names = self.delimiter.join(self.columns)
        head = [line.replace("{columns}", names) for line in self.comments] if self.comments else [names]
        return head + [self.delimiter.join(row) for row in self.rows]

    def with_rows(self, rows: Any) -> Table:
        """Return the table with different rows."""
        return replace(self, rows=tuple(tuple(row) for row in rows))


def named_points(scene: Scene) -> Iterator[tuple[str, Any, str, int]]:
    """Yield name, position (LPS), role and target number of all points, named in full."""
    for number, instance in enumerate(scene.instances, start=1):
        for role, points in (("foreground", instance.foreground), ("background", instance.background)):
            for point in points:
                yield f"{instance.class_name} {number} {'fg' if role == 'foreground' else 'bg'}", point, role, number


def default_names(scene: Scene, rng: np.random.Generator) -> bool:
    """Return whether the points of a case may keep their default names, which only a single class allows."""
    return len(scene.class_names) == 1 and bool(rng.integers(2))


def make_table(scene: Scene, name: str, rng: np.random.Generator) -> Table:
    """Return the table of a case in one of the formats of tables."""
    points = list(named_points(scene))
    plain = default_names(scene, rng)
    labels = [f"F-{n}" if plain else label for n, (label, *_) in enumerate(points, start=1)]
    positions = [position for _, position, *_ in points]
    if name == "csv":
        own = ("class", "instance", "role", "x_lps_mm", "y_lps_mm", "z_lps_mm")
        rows = [
            (scene.instances[number - 1].class_name, str(number), role, *(f"{v:.4f}" for v in position))
            for _, position, role, number in points
        ]
        return Table("csv", own, tuple(rows), naming=own[:3], coordinates=own[3:])
    if name == "napari csv":
        columns: tuple[str, ...] = ("index", "axis-0", "axis-1", "axis-2", *(() if plain else ("label",)))
        voxels = scene.grid.to_voxels(np.array(positions))
        rows = [
            (f"{n}.0", *(f"{v}.0" for v in voxel), *(() if plain else (label,)))
            for n, (voxel, label) in enumerate(zip(voxels, labels, strict=True))
        ]
        return Table("kji.csv", columns, tuple(rows), naming=("label",), coordinates=columns[1:4])
    system = ("LPS", "RAS")[rng.integers(2)]
    signs = RAS if system == "RAS" else np.ones(3)
    if name == "fcsv":
        is_new = bool(rng.integers(2))
        rows = [
            (str(n), *(f"{v:.6f}" for v in position * signs), *"0001110", label, "", "\r" if is_new else "")
            + (("2", "0") if is_new else ())
            for n, (position, label) in enumerate(zip(positions, labels, strict=True), start=1)
        ]
        stated = system if rng.integers(2) else {"LPS": "1", "RAS": "0"}[system]
        comments = ("# Markups fiducial file version = 4.11", f"# CoordinateSystem = {stated}", "# columns = {columns}")
        return Table(
            *("fcsv", tuple(FCSV_COLUMNS.split(",")), tuple(rows), ",", comments),
            naming=("label",),
            coordinates=("x", "y", "z"),
            state=("status", "2") if is_new else None,
        )
    columns = ("label", *system.lower(), "defined", "selected", "visible", "locked", "description")
    rows = [
        (label, *(f"{v:.6f}" for v in position * signs), "1", "1", "1", "0", "")
        for position, label in zip(positions, labels, strict=True)
    ]
    suffix = name.removeprefix("Slicer ")
    return Table(
        *(suffix, columns, tuple(rows), "\t" if suffix == "tsv" else ","),
        naming=("label",),
        coordinates=columns[1:4],
        state=("defined", "1"),
    )


def make_markups(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    """Return the content of a ``.mrk.json`` file."""
    plain, system = default_names(scene, rng), ("LPS", "RAS")[rng.integers(2)]
    points = [
        {
            "id": str(n),
            "label": f"F-{n}" if plain else label,
            "description": "",
            "position": [round(float(v), 6) for v in position * (RAS if system == "RAS" else 1)],
            "orientation": [-1.0, -0.0, -0.0, -0.0, -1.0, -0.0, 0.0, 0.0, 1.0],
            "selected": True,
            "positionStatus": "defined",
        }
        for n, (label, position, *_) in enumerate(named_points(scene), start=1)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": system, "coordinateUnits": "mm", "controlPoints": points}
    return {"@schema": "https://example.org/markups-schema-v1.0.3.json#", "markups": [markup]}


def as_json(content: Any) -> str:
    """Return content as the text of a ``.mrk.json`` file."""
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n"


def save_label_map(scene: Scene, path: Path, rng: np.random.Generator) -> list[Path]:
    """Write the points as single voxels, with ITK-SNAP's label descriptions if there are several classes.

    Returns:
        Files of the label map; a ``.mhd`` file has its voxels in a second one.
    """
    values = np.zeros(scene.grid.shape, dtype=np.uint8 if rng.integers(2) else np.uint16)
    for number, instance in enumerate(scene.instances, start=1):
        values[tuple(scene.grid.to_voxels(instance.background).T)] = 2 * number - 1
        values[tuple(scene.grid.to_voxels(instance.foreground).T)] = 2 * number
    save_image(values, scene, path, compress=bool(rng.integers(2)))
    if len(scene.class_names) > 1:
        lines = ['    0     0    0    0        0  0  0    "Clear Label"']
        for number, instance in enumerate(scene.instances, start=1):
            for value, role in ((2 * number - 1, "bg"), (2 * number, "fg")):
                lines.append(f'    {value}   255    0    0        1  1  1    "{instance.class_name} {number} {role}"')
        path.with_name("labels.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [path, *path.parent.glob("*raw")]


def save_image(values: np.ndarray[Any, Any], scene: Scene, path: Path, *, compress: bool = False) -> None:
    """Write an array (z, y, x) on the grid of a case."""
    image = sitk.GetImageFromArray(values)
    grid = scene.grid
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    sitk.WriteImage(image, str(path), useCompression=compress)
