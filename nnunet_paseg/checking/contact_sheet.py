"""Blocks of the contact sheet for the targets of one case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from nnunet_paseg.plotting.contact_sheet import Block, cut_views
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, place_on_grid
from nnunet_paseg.points.upright import upright

MAX_POINTS = 3
"""Largest number of foreground points of one target that have slices of their own."""


def cut_blocks(case: str, image: sitk.Image, instances: Sequence[Instance], class_names: Sequence[str]) -> list[Block]:
    """Return the views of every target of a case, in the patient's axes whatever the orientation of the scan.

    Args:
        case: Case identifier, for the titles.
        image: 3D image.
        instances: Targets on the image's grid.
        class_names: Classes of the dataset.
    """
    array, grid = upright(sitk.GetArrayViewFromImage(image), Grid.from_image(image))
    labels = {name: label for label, name in enumerate(class_names, start=1)}
    blocks = []
    for number, instance in enumerate(instances, start=1):
        placed = place_on_grid(instance, grid, labels)
        box = np.array([[side.start, side.stop] for side in placed.box], dtype=float)
        points = grid.to_indices(np.concatenate([instance.foreground, instance.background]))
        is_foreground = np.arange(len(points)) < len(instance.foreground)
        for centre in placed.foreground[:MAX_POINTS]:
            views = cut_views(array, grid.spacing_mm, centre, box, points, is_foreground)
            blocks.append(Block(f"{case}: {instance.class_name} {number}", placed.label, views))
    return blocks
