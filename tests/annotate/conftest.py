"""A folder of images with one bright ellipsoid each, in several orientations, and a client of the server."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

HOST = "127.0.0.1:8765"
TOKEN = "token-of-the-tests"
PAGE = "page-of-the-tests"
SHAPE = (26, 32, 40)
CENTRE, RADII = np.array([12, 15, 18]), np.array([5, 7, 9])
"""Centre and half axes (z, y, x) of the target in voxels of the upright image."""
ORIENTATIONS = {
    "axial": np.eye(3),
    "coronal": np.eye(3)[:, [0, 2, 1]],
    "sagittal": np.eye(3)[:, [1, 2, 0]],
    "flipped": np.diag([-1.0, 1.0, -1.0]),
    "oblique": Rotation.from_euler("xyz", (12, -20, 30), degrees=True).as_matrix()[:, [1, 2, 0]],
}
"""Directions of the image axes (columns) in LPS. Coronal and flipped ones are left-handed."""


def write_ellipsoid(
    path, direction=ORIENTATIONS["axial"], *, shape=SHAPE, centre=CENTRE, radii=RADII, spacing=(0.9, 1.1, 1.6)
):
    """Write an image with a bright ellipsoid, and return it."""
    places = np.stack(np.indices(shape), -1)
    values = np.random.default_rng(0).normal(100, 4, shape)
    values[(((places - centre) / radii) ** 2).sum(-1) < 1] += 60
    image = sitk.GetImageFromArray(values.astype(np.int16))
    image.SetSpacing(spacing)
    image.SetOrigin((-30.0, 12.5, 400.0))
    image.SetDirection(np.asarray(direction).ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return image


def clicks_around(grid, centre=CENTRE, radii=RADII):
    """Return the voxels (x, y, z) of the seven clicks by place, for an ellipsoid along the axes of the image."""
    from nnunet_paseg.points.directions import faces

    clicks = {"inside": centre}
    for place, (axis, sign) in faces(grid).items():
        clicks[place] = centre + sign * (radii[axis] + 1) * np.eye(3, dtype=int)[axis]
    return {place: [int(index) for index in voxel[::-1]] for place, voxel in clicks.items()}


def target(clicks, name="tumor", number=1, missing=()):
    """Return a target as the page sends it."""
    entries = [{"place": p, "voxel": None if p in missing else v, "position": None} for p, v in clicks.items()]
    return {"class": name, "number": number, "clicks": entries}


@pytest.fixture
def folders(tmp_path):
    """Two cases with images, and an empty folder of points."""
    write_ellipsoid(tmp_path / "images" / "a.nii.gz")
    write_ellipsoid(tmp_path / "images" / "b.nrrd", ORIENTATIONS["oblique"])
    (tmp_path / "points").mkdir()
    return SimpleNamespace(root=tmp_path, images=tmp_path / "images", points=tmp_path / "points")


@pytest.fixture
def workspace(folders):
    from nnunet_paseg.annotate.accepted import AcceptedMasks
    from nnunet_paseg.annotate.leases import Leases
    from nnunet_paseg.annotate.workspace import Workspace

    leases = Leases(folders.points, "ada")
    masks = AcceptedMasks(folders.root / "masks")
    return Workspace(folders.images, folders.points, ("tumor", "edema"), ("MRI",), leases, masks)
