"""The page of a report: one HTML file with its pictures in it, without scripts and without any address outside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote

from nnunet_paseg.evaluation.metrics import PRESETS
from nnunet_paseg.evaluation.table import Row
from nnunet_paseg.plotting.panels import CLASS_COLOURS, IGNORE_RGBA, REFERENCE_COLOUR
from nnunet_paseg.report.cases import ReportCase
from nnunet_paseg.report.html import cell, document, figure, number, row_header, table, text_cell
from nnunet_paseg.report.scores import Spread, spreads
from nnunet_paseg.report.training import Training


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        title: of the page.
        facts: name and value of what it was made from.
        labels: label by class name, for the legend of the pictures.
        cases: all of them, in the order in which they are shown.
        pictures: PNG file by case.
        preset: definition of the distances; None without truth.
        annotation: a sentence on the training cases, or empty.
        training_pictures: PNG file by training case: those with the fewest seeds.
        trainings: of the models.
        warnings: where and what.
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
    warnings: Sequence[tuple[str, str]] = ()


def render(page: Page) -> str:
    """The page as HTML."""
    sections = [
        f"<h1>{escape(page.title)}</h1>",
        table((), [[[_header(name), text_cell(value)] for name, value in page.facts]]),
        _warnings(page.warnings),
        _summary(page),
        _every_case(page),
        "<h2>Pictures</h2>",
        _legend(page),
        *(_case(case, page.pictures[case.identifier]) for case in page.cases if case.identifier in page.pictures),
        _annotation(page),
        *(["<h2>Training</h2>"] if page.trainings else []),
        *map(_training, page.trainings),
    ]
    return document(page.title, "\n".join(section for section in sections if section))


def _warnings(warnings: Sequence[tuple[str, str]]) -> str:
    if not warnings:
        return "<p>No warnings.</p>"
    items = "\n".join(f"<li>{escape(where)}: {escape(what)}.</li>" for where, what in warnings)
    return f'<div class="warning">\n<strong>Warnings</strong>\n<ul>\n{items}\n</ul>\n</div>'


def _summary(page: Page) -> str:
    rows = [row for case in page.cases for row in case.rows]
    spread = ("cases", "mean (SD)", "median", "smallest to largest")
    if page.preset is None:
        volumes = [[_header(s.class_name), *_spread(s, 2)] for s in spreads(rows, "prediction_ml")]
        return f"<h2>Predicted volumes, ml</h2>\n{table(('class', *spread), [volumes])}"
    body = [
        [_header(s.class_name), text_cell(name), *_spread(s, digits)]
        for score, name, digits in (("dice", "Dice", 3), ("assd_mm", "ASSD mm", 2), ("hd95_mm", "HD95 mm", 2))
        for s in spreads(rows, score)
    ]
    note = (
        f"{page.preset}: {PRESETS[page.preset]}. Distances are undefined where a mask is empty, and not counted here."
    )
    return f"<h2>Scores</h2>\n{table(('class', ' score', *spread), [body])}\n<p>{escape(note)}</p>"


def _every_case(page: Page) -> str:
    scored = page.preset is not None
    groups = []
    for case in page.cases:
        name = escape(case.identifier)
        link = f'<a href="#{_anchor(case)}">{name}</a>' if case.identifier in page.pictures else name
        rows = [[text_cell(row.class_name), *(_scores(row) if scored else ()), _volume(row)] for row in case.rows]
        rows[0].insert(0, row_header(link, rows=len(rows)))
        groups.append(rows)
    columns = ("case", " class", *(("Dice", "ASSD mm", "HD95 mm", "truth ml") if scored else ()), "prediction ml")
    order = "worst mean Dice first" if scored else "smallest prediction first"
    return f"<h2>Cases</h2>\n{table(columns, groups, caption=order)}"


def _scores(row: Row) -> list[str]:
    bar = f'<td class="bar" style="--part: {row.dice:.1%}">{row.dice:.3f}</td>'
    return [bar, *(cell(number(value)) for value in (row.assd_mm, row.hd95_mm, row.reference_ml))]


def _volume(row: Row) -> str:
    return cell(number(row.prediction_ml))


def _annotation(page: Page) -> str:
    if not page.annotation:
        return ""
    figures = [
        figure(picture, f"points and seeds of training case {case}", f"<strong>{escape(case)}</strong>, for training")
        for case, picture in page.training_pictures.items()
    ]
    fewest = "<p>The training cases with the fewest seeds:</p>" if figures else ""
    pictures = "\n".join(['<div class="side">', *figures, "</div>"]) if figures else ""
    return f"<h2>Annotation</h2>\n<p>{escape(page.annotation)}</p>\n{fewest}\n{pictures}"


def _training(training: Training) -> str:
    figures = [figure(data, f"{caption} of {training.title}", escape(caption)) for caption, data in training.pictures]
    return f"<h3>{escape(training.title)}</h3>\n<p>{escape(training.summary)}</p>\n" + "\n".join(figures)


def _legend(page: Page) -> str:
    def swatch(colour: str, text: str) -> str:
        return f'<span class="swatch" style="background: {colour}"></span>{escape(text)}'

    entries = [swatch(CLASS_COLOURS[(label - 1) % len(CLASS_COLOURS)], name) for name, label in page.labels.items()]
    entries += [swatch(REFERENCE_COLOUR, "outline of the truth (dashed)")] if page.preset else []
    veil = "rgba({:.0f}, {:.0f}, {:.0f}, {})".format(*(255 * part for part in IGNORE_RGBA[:3]), IGNORE_RGBA[3])
    entries += [swatch(veil, "unlabelled")] if page.annotation else []
    note = "Stars are points inside a target, dots points outside, hollow ones lie on another slice. "
    note = note if page.annotation else ""
    note += "The slices are those with the largest area of the truth, or else of the prediction. "
    note += "Dice on a picture is the mean over the labels of the truth." if page.preset else ""
    left_out = len(page.cases) - len(page.pictures)
    note += f" {left_out} more cases are in the table only." if left_out else ""
    return f"<p>{''.join(entries)}</p>\n<p>{escape(note)}</p>"


def _case(case: ReportCase, picture: bytes) -> str:
    lines = []
    for row in case.rows:
        scores = "" if math.isnan(row.dice) else f"Dice {row.dice:.3f}, HD95 {number(row.hd95_mm)} mm, "
        lines.append(f"{escape(row.class_name)}: {scores}{number(row.prediction_ml)} ml predicted")
    caption = f"<strong>{escape(case.identifier)}</strong> " + "; ".join(lines)
    return figure(picture, f"slices of case {case.identifier}", caption, anchor=_anchor(case))


def _anchor(case: ReportCase) -> str:
    return f"case-{quote(case.identifier)}"


def _header(text: str) -> str:
    return row_header(escape(text))


def _spread(spread: Spread, digits: int) -> list[str]:
    mean = f"{number(spread.mean, digits)} ({number(spread.sd, digits)})"
    extremes = f"{number(spread.low, digits)} to {number(spread.high, digits)}"
    return [cell(str(spread.count)), cell(mean), cell(number(spread.median, digits)), cell(extremes)]
