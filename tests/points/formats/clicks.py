"""Clicks of two targets on a small grid, saved in any text format, and what a reader makes of a file."""

import numpy as np

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance
from tests.points.formats import writers

GRID = Grid((30, 30, 30), (1.0, 1.5, 0.5), (-7.0, 3.0, 11.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
AROUND = np.array([[-4, 0, 1], [4, 1, 0], [0, -4, 1], [1, 4, 0], [0, 1, -4], [1, 0, 4]])
SEVEN = np.concatenate([AROUND, [[0, 0, 0]]])
VOXELS = np.concatenate([SEVEN + 10, SEVEN + np.array([15, 20, 21])])
POINTS = GRID.to_world(VOXELS)
TARGETS = [(POINTS[6], POINTS[:6]), (POINTS[13], POINTS[7:13])]


def _own(path):
    write_csv([Instance("tumor", inside[None], outside) for inside, outside in TARGETS], path)
    return path


FILES = {
    "a.csv": lambda path: writers.save_slicer_table(path, POINTS),
    "a.tsv": lambda path: writers.save_slicer_table(path, POINTS, system="RAS"),
    "a.fcsv": lambda path: writers.save_fcsv(path, POINTS),
    "a.kji.csv": lambda path: writers.save_napari(path, VOXELS),
    "own.csv": _own,
    "a.mrk.json": lambda path: writers.save_markups(path, writers.point_list(POINTS)),
}
TABLES = [name for name in FILES if not name.endswith(".json")]


def canonical(instances):
    """Targets regardless of the order of points, to a thousandth of a voxel."""
    return sorted(
        [[i.class_name, *(sorted(np.round(GRID.to_indices(p), 3).tolist()) for p in (i.foreground, i.background))]]
        for i in instances
    )


EXPECTED = canonical([Instance("tumor", inside[None], outside) for inside, outside in TARGETS])


def read(path):
    """The targets of a file in canonical form, or the message that rejects it, which names the file."""
    try:
        return canonical(read_points(path, GRID, ["tumor"]))
    except PasegError as error:
        message = str(error)
        assert str(path) in message
        assert len(message) < 1000
        assert "\n" not in message
        assert "cannot be read as points" not in message  # the guard against errors that were not foreseen
        return message
