"""The naming rule: class, target number and role in the name of a list, a point or a box.

A name consists of words in any order: a class of the dataset, a number that distinguishes targets of one class, a role.
Behind a role, or behind a class with a number, a side of the patient names one outer point (``tumor 2 out left``).
A number after a hyphen at the end (``tumor-3``), after a role (``bg 3``), after a default name (``F_3``) or alone
counts points and is ignored.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.directions import DIRECTIONS
from nnunet_paseg.points.formats.text import shown

ROLES = {
    **dict.fromkeys(("fg", "foreground", "in", "inside"), "foreground"),
    **dict.fromkeys(("bg", "background", "out", "outside"), "background"),
    "absent": "absent",
}
DEFAULT_WORD = re.compile(
    r"f|p|r|roi|points?|fiducials?|markups?|markups?(fiducial|roi)|list|pointlist|label|crop|volume|rendering|copy|"
    r"display|annotation|annotationroi|cropvolumeroi"
)
"""Words of default names: "F", "MarkupsFiducial_1", "F Copy", "Crop Volume ROI", ITK-SNAP's "Label 1"."""


@dataclass(frozen=True)
class ParsedName:
    """Class, target number and role in a name; None if the name does not contain them.

    Attributes:
        role: Foreground, background, or absent (a point that states that the case has no target of the class).
        direction: Side of the patient on which an outer point is.
        count: Number after the role, which counts points or targets.
    """

    class_name: str | None = None
    number: int | None = None
    role: str | None = None
    direction: str | None = None
    count: int | None = field(default=None, repr=False, compare=False)


def parse_name(name: str, class_names: Sequence[str], *, who: str, case: str = "", is_list: bool = False) -> ParsedName:
    """Parse the name of a list, a point or a box.

    Args:
        name: Name as typed.
        class_names: Classes of the dataset; case is ignored, and underscores count as spaces.
        who: Point or list, for messages.
        case: Case identifier, which is ignored as a name.
        is_list: Whether this is the name of a list, in which a number after a default name ("F_1") counts targets.

    Returns:
        Class, target number, role and side.

    Raises:
        PasegError: A word is neither a class nor a number nor a role nor a side behind them.

    Example:
        >>> parse_name("Tumor 2 out left-5", ["tumor"], who="point 5")
        ParsedName(class_name='tumor', number=2, role='background', direction='left')
    """
    rest = plain(name)
    # 3D Slicer calls an ROI after the image: "case_1 ROI".
    words = DEFAULT_WORD.pattern if plain(case) in map(plain, class_names) else rf"\d+|{DEFAULT_WORD.pattern}"
    if case and re.fullmatch(rf"{re.escape(plain(case))}( ({words}))*(-\d+)?", rest):
        return ParsedName()
    class_name, start = None, 0
    # The first class in the name, and the longest of those that start there: "left kidney" before "kidney".
    matches = [(match.start(), -len(name), name) for name in class_names if (match := _whole(name).search(rest))]
    if matches:
        start, _, class_name = min(matches)
        rest = f"{rest[:start]} {rest[start + len(plain(class_name)) :]}"
    has_count = re.search(r"-\d+\s*$", rest)
    rest = rest[: has_count.start()] if has_count else rest
    number = role = direction = count = None
    named = class_name is not None
    for place in re.finditer(r"[^\s\-.,:;#()]+", rest):
        word = place[0]
        match = re.fullmatch(r"([^\W\d]*)(\d{0,9})", word)
        text, digits = match.groups() if match else (word, "")
        is_target = role is None and class_name is not None and number is not None
        if text in ROLES and role in (None, ROLES[text]) and not (direction and ROLES[text] != "background"):
            role = ROLES[text]
            count = int(digits) if digits else count
        elif word in DIRECTIONS and not direction and place.start() >= start and (role == "background" or is_target):
            direction = word
        elif digits and not text and (role or number is None or class_name is None):
            # After a role, or without a name, a number counts points.
            count = int(digits) if role and count is None else count
            number = int(digits) if named and not role and number is None else number
        elif text == "copy" or (text and class_name is None and DEFAULT_WORD.fullmatch(text)):
            named = True
            number = int(digits) if digits and number is None else number
        else:
            raise PasegError(
                f"{who}: '{shown(word)}' in the name '{shown(name)}' is neither a class ({', '.join(class_names)}) nor "
                f"a number nor a role ({', '.join(ROLES)}) nor, behind 'out' or a class with a number, a side "
                f"({', '.join(DIRECTIONS)}): correct the name."
            )
    if direction:
        role = "background"
    if class_name is None and not is_list and not has_count:
        number = None
    return ParsedName(class_name, number, role, direction, count)


def plain(text: str) -> str:
    """Return a name as it is compared: in lower case and one Unicode form, with single spaces."""
    return re.sub(r"[\s_]+", " ", unicodedata.normalize("NFC", text)).strip().casefold()


def _whole(name: str) -> re.Pattern[str]:
    """Return a pattern of a name that is not part of a longer word; digits may follow ("tumor2")."""
    pattern = plain(name)
    no_digit = r"(?!\d)" if pattern[-1:].isdigit() else ""
    return re.compile(rf"(?<!\w){re.escape(pattern)}(?![^\W\d]){no_digit}")
