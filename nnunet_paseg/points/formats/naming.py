"""The naming rule: class, target number and role in the name of a list, a point or a box.

A name consists of words in any order: a class of the dataset, a number that distinguishes targets of one class, a role.
A number after a hyphen at the end (``tumor-3``), after a role (``bg 3``) or alone counts points and is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_paseg.errors import PasegError

ROLES = {
    **dict.fromkeys(("fg", "foreground", "in", "inside"), "foreground"),
    **dict.fromkeys(("bg", "background", "out", "outside"), "background"),
}
DEFAULT_NAME = re.compile(r"(f|p|r|roi|points?|fiducials?|markups?|markups?(fiducial|roi)|list|pointlist)")
"""Default names of lists and boxes."""


@dataclass(frozen=True)
class ParsedName:
    """Class, target number and role in a name; None if the name does not contain them."""

    class_name: str | None = None
    number: int | None = None
    role: str | None = None


def parse_name(name: str, class_names: Sequence[str], *, who: str, case: str = "") -> ParsedName:
    """Parse the name of a list, a point or a box.

    Args:
        name: Name as typed.
        class_names: Classes of the dataset; case is ignored, and underscores count as spaces.
        who: Point or list, for messages.
        case: Case identifier, which is ignored as a name.

    Returns:
        Class, target number and role.

    Raises:
        PasegError: A word is neither a class nor a number nor a role.

    Example:
        >>> parse_name("Tumor 2 bg-5", ["tumor"], who="point 5")
        ParsedName(class_name='tumor', number=2, role='background')
    """
    rest = _plain(name)
    if case and re.sub(r"-\d+$", "", rest) == _plain(case):
        return ParsedName()
    class_name = None
    # Longest first: "left kidney" before "kidney".
    for candidate in sorted(class_names, key=len, reverse=True):
        if match := _whole(candidate).search(rest):
            class_name = candidate
            rest = f"{rest[: match.start()]} {rest[match.end() :]}"
            break
    rest = re.sub(r"-\d+\s*$", "", rest)
    number = role = None
    named = class_name is not None
    for word in re.split(r"[\s\-.,:;#()]+", rest):
        if word in ROLES and role in (None, ROLES[word]):
            role = ROLES[word]
        elif word.isdecimal() and (role or number is None):
            # After a role, or without a name, a number counts points.
            number = int(word) if named and not role else number
        elif word and not named and DEFAULT_NAME.fullmatch(word):
            named = True
        elif word:
            raise PasegError(
                f"{who}: '{word}' in the name '{name}' is neither a class ({', '.join(class_names)}) nor a number nor "
                f"a role ({', '.join(ROLES)}): correct the name, or leave it as the tool had it."
            )
    return ParsedName(class_name, number, role)


def _plain(text: str) -> str:
    return re.sub(r"[\s_]+", " ", text).strip().casefold()


def _whole(name: str) -> re.Pattern[str]:
    """Return a pattern of a name that is not part of a longer word; digits may follow ("tumor2")."""
    plain = _plain(name)
    no_digit = r"(?!\d)" if plain[-1:].isdigit() else ""
    return re.compile(rf"(?<!\w){re.escape(plain)}(?![^\W\d]){no_digit}")
