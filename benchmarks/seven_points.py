"""Draw the seven points of a target, numbered in the order of clicking, for docs/slicer.md."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib import patheffects
from scipy import ndimage

from nnunet_paseg.io.files import check_output
from nnunet_paseg.plotting.figures import SUFFIXES, add_axes, new_figure, save_figure
from nnunet_paseg.plotting.style import grey_window, marker_style
from nnunet_paseg.points.annotation import PLACES, clicks_of
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.simulate import simulate_points

OUTPUT = Path(__file__).parents[1] / "docs" / "seven_points.png"
PLANES = {"axial": (0, (1, 2)), "coronal": (1, (0, 2)), "sagittal": (2, (0, 1))}
"""Axis (z, y, x) across each plane, and the axes down and to the right of it."""
SIZE, RADII = 80, (17, 14, 19)
WIDTH, TITLE = 3.0, 0.35
"""Width of a panel and height of its title, inches."""


def draw(path: Path) -> None:
    """Draw three slices through the inner point of a target in the patient's axes.

    Args:
        path: File to write.
    """
    rng = np.random.default_rng(3)
    axes = np.stack(np.meshgrid(*[np.arange(SIZE) - SIZE / 2] * 3, indexing="ij"))
    bumps = 6 * ndimage.gaussian_filter(rng.standard_normal(axes.shape[1:]), 7) * 7**1.5
    target = np.linalg.norm(axes / np.reshape(RADII, (3, 1, 1, 1)), axis=0) + 0.1 * bumps < 1
    image = 90.0 + 35 * target + 12 * ndimage.gaussian_filter(rng.standard_normal(target.shape), 1) / 0.2
    grid = Grid((SIZE,) * 3, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel().tolist()))
    clicks = clicks_of(simulate_points(target.astype(np.uint8), grid, {"tumor": 1}, rng), grid)[: len(PLACES)]
    voxels = grid.to_indices([click.position for click in clicks if click.position is not None])
    figure = new_figure(WIDTH * len(PLANES), WIDTH + TITLE, dpi=120)
    for number, (name, (across, (down, right))) in enumerate(PLANES.items()):
        panel = add_axes(figure, number * WIDTH, TITLE, WIDTH - 0.05, WIDTH)
        pixels = np.take(image, round(voxels[0, across]), across)
        panel.imshow(pixels, origin="upper" if down == 1 else "lower", **grey_window(pixels))
        panel.set_title(name, fontsize=11)
        for index, place in enumerate(PLACES):
            offset = voxels[index] - voxels[0]
            axis = int(np.abs(offset).argmax())
            if index and axis == across:
                continue
            style = marker_style(int(not index), on_slice=True, scale=1.3)
            position = voxels[index, right], voxels[index, down]
            panel.plot(*position, linestyle="none", **style)
            # Names are farther out than their points, on the same side.
            sign = np.sign(offset[axis]) * (-1 if axis == down == 1 else 1)
            panel.annotate(
                f"{index + 1} {place}",
                position,
                xytext=(9 * sign, 0) if index and axis == right else (0, 10 * sign if index else -13),
                textcoords="offset points",
                ha=("left" if sign > 0 else "right") if index and axis == right else "center",
                va="center",
                color="white",
                fontsize=10,
                path_effects=[patheffects.withStroke(linewidth=2.5, foreground="black")],
            )
    save_figure(figure, path)


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, help="figure to write (default: %(default)s)")
    output = parser.parse_args().output
    check_output(output, SUFFIXES)
    draw(output)


if __name__ == "__main__":
    main()
