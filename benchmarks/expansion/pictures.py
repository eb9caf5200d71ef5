"""A figure of twelve targets: the three with the smallest Dice, and nine that are drawn by a seed.

Example:
    python -m benchmarks.expansion.pictures DATA --half report --output benchmarks/results/expansion_targets.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from tqdm import tqdm

from benchmarks.expansion import RESULTS
from benchmarks.expansion.datasets import load_targets
from benchmarks.expansion.halves import NAMES
from benchmarks.expansion.methods import Cuts, learned
from benchmarks.expansion.phantoms import phantom_targets
from benchmarks.expansion.scores import score
from benchmarks.expansion.target import Target
from nnunet_paseg.errors import PasegError
from nnunet_paseg.plotting.figures import new_figure, save_figure
from nnunet_paseg.plotting.style import REFERENCE_COLOUR, grey_window, marker_style
from nnunet_paseg.seeds.learned.weights import load_expander

NUMBER, WORST, COLUMNS = 12, 3, 3
RIM = 4
"""Voxels around the box that are shown."""


class Shown(NamedTuple):
    """A target, the probability in the box of its first draw, and the Dice of its mask."""

    target: Target
    probability: npt.NDArray[np.float32]
    dice: float


def choose(found: Sequence[Shown], seed: int) -> list[Shown]:
    """Return the worst targets, then a random selection that has as many kinds of targets as possible."""
    ordered = sorted(found, key=lambda each: each.dice)
    worst, rest = ordered[:WORST], ordered[WORST:]
    shuffled = [rest[index] for index in np.random.default_rng(seed).permutation(len(rest))]
    seen: dict[str, int] = {}
    ranked = []
    for each in shuffled:
        seen[each.target.kind] = seen.get(each.target.kind, 0) + 1
        ranked.append((seen[each.target.kind], each))
    ranked.sort(key=lambda item: item[0])
    return worst + [each for _, each in ranked[: NUMBER - WORST]]


def draw_figure(chosen: Sequence[Shown], file: Path) -> None:
    """Draw two panels per target, on the slice through the largest area of the reference."""
    rows = -(-len(chosen) // COLUMNS)
    figure = new_figure(4.4 * COLUMNS, 2.6 * rows, dpi=90, layout="constrained")
    for index, each in enumerate(chosen):
        clicks, mask = each.target.draws[0], each.target.mask
        z = int(mask.sum(axis=(1, 2)).argmax())
        probability = np.full(mask.shape, np.nan, dtype=np.float32)
        probability[clicks.box] = each.probability
        left, right = (figure.add_subplot(rows, 2 * COLUMNS, 2 * index + side) for side in (1, 2))
        pixels = each.target.image[0, z]
        left.imshow(pixels, **grey_window(pixels[clicks.box[1:]]))
        right.imshow(probability[z], cmap="viridis", vmin=0, vmax=1)
        if np.nanmax(probability[z]) > 0.5 > np.nanmin(probability[z]):
            right.contour(probability[z], levels=[0.5], colors="white", linewidths=1.2)
        for label, points in ((1, clicks.foreground), (0, np.concatenate([clicks.extremes, clicks.background]))):
            for depth, y, x in points:
                left.plot(x, y, **marker_style(label, on_slice=depth == z, scale=0.7))
        for axes in (left, right):
            _frame(axes, each.target, z)
        left.set_title(f"{each.target.kind}: {each.target.case}", fontsize=7)
        right.set_title(f"Dice {each.dice:.2f}", fontsize=7)
    save_figure(figure, file)


def _frame(axes: Axes, target: Target, z: int) -> None:
    """Draw the reference, and show the box and its rim with the aspect ratio of the voxels."""
    axes.contour(target.mask[z].astype(float), levels=[0.5], colors=[REFERENCE_COLOUR], linewidths=1)
    rows, columns = target.draws[0].box[1:]
    axes.set(xlim=(columns.start - RIM, columns.stop + RIM), ylim=(rows.stop + RIM, rows.start - RIM))
    axes.set(xticks=[], yticks=[], aspect=target.spacing_mm[1] / target.spacing_mm[2])


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the figure and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.expansion.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, nargs="?", help="folder of dense datasets (default: phantoms)")
    parser.add_argument("--half", choices=NAMES, default=NAMES[0], help="half of the cases (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="maximum number of cases per dataset (default: all)")
    parser.add_argument("--weights", type=Path, help="file of weights (default: the shipped one)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the selection (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "expansion_targets.png", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        expand = learned(load_expander(arguments.weights), Cuts())
        targets = phantom_targets(1)
        if arguments.data:
            targets = load_targets(arguments.data, arguments.half, draws=1, limit=arguments.limit)
        found = []
        for target in tqdm(targets, desc="learned", unit="target", disable=None):
            guess = expand(target, target.draws[0])
            assert guess.probability is not None  # the network always has one
            found.append(Shown(target, guess.probability, score(target, 0, target.draws[0], guess).dice))
        draw_figure(choose(found, arguments.seed), arguments.output)
    except PasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
