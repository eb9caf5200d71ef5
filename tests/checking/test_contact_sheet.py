"""Views of the contact sheet: the same from micrometres to centimetres, and names as they are."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from nnunet_paseg.checking.contact_sheet import cut_blocks
from nnunet_paseg.plotting.contact_sheet import contact_sheet
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance

SPACING = (1.0, 1.0, 2.5)
"""Along (x, y, z)."""


def blocks_of(scale, size=6, case="case", name="tumor"):
    """Return the blocks of a target of `size` voxels in an image of 60 x 60 x 40 voxels."""
    values = np.random.default_rng(0).normal(100, 10, (40, 60, 60)).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([scale * step for step in SPACING])
    grid = Grid.from_image(image)
    z, y, x, half = 20, 30, 30, size // 2
    outside = [(z - half, y, x), (z + half, y, x), (z, y - half, x)]
    outside += [(z, y + half, x), (z, y, x - half), (z, y, x + half)]
    instance = Instance(name, grid.to_world([(z, y, x)]), grid.to_world(outside))
    return cut_blocks(case, image, [instance], [name])


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 10), st.sampled_from([6, 10, 20]))
def test_views_have_no_absolute_size(scale, size):
    (block,), (same,) = blocks_of(1.0, size), blocks_of(scale, size)
    for view, scaled in zip(block.views, same.views, strict=True):
        np.testing.assert_array_equal(view.pixels, scaled.pixels)
        np.testing.assert_allclose(np.multiply(view.extent, scale), scaled.extent, rtol=1e-4)
    # A small target has surroundings, and fills a good part of the view.
    assert 20 <= block.views[0].pixels.shape[1] <= 8 * size


@pytest.mark.parametrize("scale", [1e-3, 1.0, 10.0])
@pytest.mark.parametrize("name", ["$t_$", "_tumor", "肿\n瘤", "a" * 200])
def test_sheets_are_drawn(tmp_path, scale, name):
    (path,) = contact_sheet(blocks_of(scale, case=name, name=name), tmp_path / "a.png")
    assert imread(path).std() > 0.05
