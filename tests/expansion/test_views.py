"""Slices for the contact sheet: small files, and outlines that fit the pixels."""

import numpy as np
import pytest

from nnunet_paseg.expansion.views import MAX_SIDE, CaseViews, load_block, save_blocks
from nnunet_paseg.plotting.contact_sheet import contact_sheet
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance, place_on_grid


def views_of(size, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    """Views of a target that fills half of each axis of an image, and its label map."""
    grid = Grid((8, size, size + 6), (3.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(map(float, direction)))
    middle = np.array(grid.shape) // 2
    outside = [middle + sign * np.eye(3, dtype=int)[axis] * (middle // 2) for axis in range(3) for sign in (-1, 1)]
    instance = Instance("tumor", grid.to_world([middle]), grid.to_world(outside))
    placed = place_on_grid(instance, grid, {"tumor": 1})
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[placed.box] = 1
    views = CaseViews(grid, [instance], [placed])
    views.cut(labels.astype(np.int16) * 1000 - 500)
    return views.blocks("case", labels)


@pytest.mark.parametrize("size", [20, MAX_SIDE, MAX_SIDE + 1, 3 * MAX_SIDE])
@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0, -1, -1, 0, 0, 0, 1, 0)])
def test_pixels_labels_and_box_agree(size, direction):
    (block,) = views_of(size, direction)
    for view in block.views:
        assert max(view.pixels.shape) <= MAX_SIDE
        assert view.pixels.shape == view.labels.shape
        np.testing.assert_array_equal(view.pixels > 0, view.labels > 0)
        # The labels fill the box, up to the voxels that are left out.
        left, right, bottom, top = view.extent
        rows, columns = view.labels.shape
        height, width = (bottom - top) / rows, (right - left) / columns
        marked = np.argwhere(view.labels)
        low, high = marked.min(axis=0), marked.max(axis=0) + 1
        found = (top + low[0] * height, left + low[1] * width, top + high[0] * height, left + high[1] * width)
        y, x, box_height, box_width = view.box
        np.testing.assert_allclose(found, (y, x, y + box_height, x + box_width), atol=max(height, width))


def test_a_file_of_blocks_is_read_as_it_was(tmp_path):
    blocks = views_of(30)
    save_blocks(blocks, tmp_path / "a.npz")
    block = load_block(tmp_path / "a.npz", 0)
    assert (block.title, block.label) == (blocks[0].title, 1)
    for view, expected in zip(block.views, blocks[0].views, strict=True):
        assert (view.title, view.extent, view.box) == (expected.title, expected.extent, expected.box)
        for name in ("pixels", "labels", "points", "kinds"):
            np.testing.assert_array_equal(getattr(view, name), getattr(expected, name))
    assert contact_sheet([block], tmp_path / "sheet.png")
