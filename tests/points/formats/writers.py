"""Point files as other tools write them, written here independently of the package's own readers."""

import csv
import json

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.points.grid import Grid

RAS = np.array([-1, -1, 1])
FCSV_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"


def point_list(positions, labels=None, *, system="LPS", **options):
    """A point list as 3D Slicer saves it; ``positions`` are LPS."""
    labels = labels or [f"F-{number}" for number in range(1, len(positions) + 1)]
    return {
        "type": "Fiducial",
        "coordinateSystem": system,
        "controlPoints": [
            {"label": label, "position": (np.asarray(p) * (RAS if system == "RAS" else 1)).tolist()}
            for p, label in zip(positions, labels, strict=True)
        ],
        **options,
    }


def label_of(class_name, number, role):
    """The name of a point that says class, target and role."""
    return f"{class_name} {number} {'fg' if role == 'foreground' else 'bg'}"


def named_point_list(instances):
    """A point list of whole targets, each point named in full."""
    positions, labels = [], []
    for number, instance in enumerate(instances, start=1):
        for role in ("foreground", "background"):
            points = getattr(instance, role)
            positions += list(points)
            labels += [label_of(instance.class_name, number, role)] * len(points)
    return point_list(positions, labels)


def roi(centre, size, orientation=(1, 0, 0, 0, 1, 0, 0, 0, 1), *, system="LPS", name="R"):
    """A box in LPS, saved in either system."""
    flip = RAS if system == "RAS" else np.ones(3)
    return {
        "type": "ROI",
        "roiType": "Box",
        "name": name,
        "coordinateSystem": system,
        "center": (np.asarray(centre) * flip).tolist(),
        "orientation": (np.reshape(orientation, (3, 3)) * flip[:, None]).ravel().tolist(),
        "size": list(size),
        "controlPoints": [{"label": "R-1", "position": (np.asarray(centre) * flip).tolist()}],
    }


def save_markups(path, *markups):
    path.write_text(json.dumps({"@schema": "markups-schema-v1.0.3.json#", "markups": list(markups)}), encoding="utf-8")
    return path


def save_label_map(path, instances, image):
    """Targets as single voxels on an image's grid, with the values of PA-Seg."""
    grid = Grid.from_image(image)
    values = np.zeros(grid.shape, dtype=np.uint16)
    for number, instance in enumerate(instances, start=1):
        for value, points in ((2 * number - 1, instance.background), (2 * number, instance.foreground)):
            values[tuple(grid.to_voxels(points).T)] = value
    label_map = sitk.GetImageFromArray(values)
    label_map.CopyInformation(image)
    sitk.WriteImage(label_map, str(path), useCompression=True)
    return path


def save_fcsv(path, positions, labels=None, *, system="LPS"):
    labels = labels or [f"F-{number}" for number in range(1, len(positions) + 1)]
    flip = RAS if system in ("RAS", "0") else 1
    lines = ["# Markups fiducial file version = 5.2", f"# CoordinateSystem = {system}", f"# columns = {FCSV_COLUMNS}"]
    for number, (position, label) in enumerate(zip(positions, labels, strict=True), start=1):
        x, y, z = np.asarray(position) * flip
        lines.append(f"{number},{x},{y},{z},0,0,0,1,1,1,0,{label},,\r,2,0")
    path.write_bytes(("\n".join(lines) + "\n").encode())
    return path


def save_table(path, header, lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([header, *lines])
    return path


def save_slicer_table(path, positions, *, system="LPS"):
    flip = RAS if system == "RAS" else 1
    lines = [[f"F-{n}", *(np.asarray(p) * flip).tolist(), 1, 1, 1, 0, ""] for n, p in enumerate(positions, start=1)]
    return save_table(
        path, ["label", *system.lower(), "defined", "selected", "visible", "locked", "description"], lines
    )


def save_napari(path, indices):
    lines = [[float(n), *index] for n, index in enumerate(indices)]
    return save_table(path, ["index", "axis-0", "axis-1", "axis-2"], lines)
