"""Colours of classes, markers of points, and the grey window of an image, shared by all figures."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import patheffects

# Okabe and Ito's palette: readers with colour blindness can distinguish it, and all of it is bright on grey.
CLASS_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7")
POINT_COLOUR = "#FFFFFF"
"""Colour of background points."""
REFERENCE_COLOUR = "#FF3B3B"
IGNORE_RGBA = (0.25, 0.45, 1.0, 0.3)


def class_colour(label: int) -> str:
    """Return the colour of a class, 1 or more; the palette repeats."""
    return CLASS_COLOURS[(label - 1) % len(CLASS_COLOURS)]


def marker_style(label: int, *, on_slice: bool, scale: float = 1.0) -> dict[str, Any]:
    """Return matplotlib's style of a point: a star of its class, or a dot for background (label 0).

    Args:
        label: Class of the point, 0 for background.
        on_slice: Whether the point is on the slice; otherwise the marker is hollow.
        scale: Size in relation to the usual one.
    """
    colour = POINT_COLOUR if label == 0 else class_colour(label)
    style = {"marker": "o", "markersize": 5 * scale} if label == 0 else {"marker": "*", "markersize": 10 * scale}
    if on_slice:
        return {**style, "markerfacecolor": colour, "markeredgecolor": "black", "markeredgewidth": 0.6 * scale}
    # The dark halo keeps a thin ring visible on bright tissue.
    halo = [patheffects.withStroke(linewidth=2.2 * scale, foreground="black")]
    return {
        **style,
        "markerfacecolor": "none",
        "markeredgecolor": colour,
        "markeredgewidth": scale,
        "path_effects": halo,
    }


def grey_window(pixels: npt.NDArray[Any]) -> dict[str, Any]:
    """Return `imshow`'s arguments for a grey image: the darkest and the brightest 0.5 % of the pixels are clipped."""
    finite = pixels[np.isfinite(pixels)]
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    return {"cmap": "gray", "vmin": float(low), "vmax": float(high)}
