"""The page of a report: one HTML file that includes its figures, without scripts or external addresses."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nnunet_paseg.evaluation.metrics import PRESETS
from nnunet_paseg.plotting.names import visible
from nnunet_paseg.plotting.style import IGNORE_RGBA, REFERENCE_COLOUR, class_colour
from nnunet_paseg.report.cases import ReportCase
from nnunet_paseg.report.scores import Spread, spreads
from nnunet_paseg.report.training import Training

UNDEFINED = "–"
SMALLEST_FIXED = 1e-4
"""Numbers below are written with an exponent."""
SCORES = (("dice", "Dice", 3), ("assd_mm", "ASSD mm", 2), ("hd95_mm", "HD95 mm", 2))
"""Field of a row, its title and its digits."""


@dataclass(frozen=True)
class Page:
    """Content of the page.

    Attributes:
        title: Title of the page.
        facts: Names and values of the sources.
        labels: Label by class name, for the legend of the pictures.
        cases: All cases, in the order in which they are shown.
        pictures: PNG file by case.
        preset: Definition of the distances, or None without references.
        annotation: Sentence on the training cases, or empty.
        training_pictures: PNG file by training case: those with the fewest seeds.
        trainings: Trainings of the given models.
        failures: Case or training with a file that cannot be used, and the message.
        notes: Sentences on labels that were not compared.
        warnings: Case or training, and its warning.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    labels: Mapping[str, int]
    cases: Sequence[ReportCase]
    pictures: Mapping[str, bytes]
    preset: str | None = None
    annotation: str = ""
    training_pictures: Mapping[str, bytes] = field(default_factory=dict)
    trainings: Sequence[Training] = ()
    failures: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[tuple[str, str]] = ()

    @property
    def scored(self) -> bool:
        """Whether there are references, and so scores."""
        return self.preset is not None

    @property
    def definition(self) -> str:
        """Definition of the distances in words."""
        return str(PRESETS[self.preset]) if self.preset else ""

    def spreads(self) -> Iterator[tuple[Spread, str, int]]:
        """Yield the spread of every class with the title and the digits of the score; none if a case is missing."""
        if self.failures:
            return
        rows = [row for case in self.cases for row in case.rows]
        for score, title, digits in SCORES if self.scored else (("prediction_ml", "volume", 2),):
            for spread in spreads(rows, score):
                yield spread, title, digits

    def class_colours(self) -> list[tuple[str, str]]:
        """Return the name and the colour of every class."""
        return [(name, class_colour(label)) for name, label in self.labels.items()]


def render(page: Page) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("nnunet_paseg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "anchor": _anchor,
        "data_address": _data_address,
        "number": _number,
        "percent": _percent,
        "png_size": _png_size,
    }
    return environment.get_template("page.html").render(
        page=page, reference_colour=REFERENCE_COLOUR, ignore_colour=_css(IGNORE_RGBA)
    )


def _finalize(value: object) -> object:
    """Make every character of a name visible; Markup is finished HTML."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _number(value: float, digits: int = 2) -> str:
    """Format a number with at least two significant digits if fewer would change it by more than 5 %."""
    if math.isnan(value):
        return UNDEFINED
    if 0 < abs(value) < SMALLEST_FIXED:
        return f"{value:.1e}"  # volumes of voxels of a micrometre
    if abs(round(value, digits) - value) > 0.05 * abs(value):
        digits = max(digits, 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def _percent(part: float) -> str:
    return "0%" if math.isnan(part) else f"{part:.1%}"


def _anchor(case: str) -> str:
    return f"case-{quote(case, errors='surrogateescape')}"


def _data_address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _png_size(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])  # of the PNG header
    return width, height


def _css(rgba: Sequence[float]) -> str:
    red, green, blue = (round(255 * part) for part in rgba[:3])
    return f"rgba({red}, {green}, {blue}, {rgba[3]})"
