import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnunet_paseg.errors import PasegError
from nnunet_paseg.points.formats.naming import ROLES, ParsedName, parse_name
from tests.points.formats.writers import label_of

CLASSES = ["tumor", "edema", "Left kidney", "kidney", "T2", "segment-4"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", ParsedName()),
        ("F", ParsedName()),
        ("F-3", ParsedName()),
        ("7", ParsedName()),
        ("MarkupsFiducial-12", ParsedName()),
        ("F_1-3", ParsedName(number=1)),
        ("F_3", ParsedName()),
        ("F_1_3", ParsedName()),
        ("F3", ParsedName()),
        ("p7", ParsedName()),
        ("case_007 ROI", ParsedName()),
        ("case_007 Copy-2", ParsedName()),
        ("F Copy", ParsedName()),
        ("F Copy-3", ParsedName()),
        ("F Copy_1-3", ParsedName(number=1)),
        ("tumor Copy-3", ParsedName("tumor")),
        ("Label 1", ParsedName()),
        ("Crop Volume ROI", ParsedName()),
        ("Volume Rendering ROI_1", ParsedName()),
        ("fg1", ParsedName(role="foreground")),
        ("bg12", ParsedName(role="background")),
        ("tumor 2 bg3", ParsedName("tumor", 2, "background")),
        ("tumor", ParsedName("tumor")),
        ("TUMOR-3", ParsedName("tumor")),
        ("tumor 2", ParsedName("tumor", 2)),
        ("tumor_2-5", ParsedName("tumor", 2)),
        ("tumor2", ParsedName("tumor", 2)),
        ("2 tumor", ParsedName("tumor", 2)),
        ("tumor 2 bg", ParsedName("tumor", 2, "background")),
        ("tumor bg 2", ParsedName("tumor", None, "background")),
        ("tumor 2: inside", ParsedName("tumor", 2, "foreground")),
        ("bg-4", ParsedName(None, None, "background")),
        ("bg 4", ParsedName(None, None, "background")),
        ("OUT", ParsedName(None, None, "background")),
        ("left_kidney 3", ParsedName("Left kidney", 3)),
        ("kidney", ParsedName("kidney")),
        ("T2", ParsedName("T2")),
        ("T2-2", ParsedName("T2")),
        ("segment-4-1", ParsedName("segment-4")),
        ("case_007-3", ParsedName()),
        ("tumor absent", ParsedName("tumor", None, "absent")),
        ("tumor 2 out left", ParsedName("tumor", 2, "background", "left")),
        ("Tumor_2 LEFT-5", ParsedName("tumor", 2, "background", "left")),
        ("tumor 2 superior outside", ParsedName("tumor", 2, "background", "superior")),
        ("out: anterior", ParsedName(None, None, "background", "anterior")),
        ("tumor bg3 inferior", ParsedName("tumor", None, "background", "inferior")),
        ("left kidney 1 right", ParsedName("Left kidney", 1, "background", "right")),
        ("left_kidney", ParsedName("Left kidney")),
        ("kidney 1 left", ParsedName("kidney", 1, "background", "left")),
        ("2 kidney left", ParsedName("kidney", 2, "background", "left")),
    ],
)
def test_names(name, expected):
    assert parse_name(name, CLASSES, who="point 1", case="case_007") == expected


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("tumr 2", "tumr"),
        ("tumor fgg", "fgg"),
        ("tumor fg bg", "bg"),
        ("tumor 2 3", "3"),
        ("T22", "t22"),
        ("tumor f", "f"),
        ("fg1 bg1", "bg1"),
        # A side neither behind a role nor behind a class with a number may belong to the name of a structure.
        ("left", "left"),
        ("left tumor", "left"),
        ("tumor left", "left"),
        ("left tumor 2", "left"),
        ("left 2 tumor", "left"),
        ("out left tumor", "left"),
        ("2 left tumor", "left"),
        ("in left", "left"),
        ("tumor absent left", "left"),
        ("tumor 2 left fg", "fg"),
        ("tumor 2 left right", "right"),
        ("tumor 2 left3", "left3"),
        ("tumor " + "9" * 5000, r"9+\.\.\."),
    ],
)
def test_words_that_say_nothing_are_refused(name, word):
    with pytest.raises(
        PasegError, match=rf"^a\.csv, point 4: '{word}' in the name '{name[:20]}.*' is neither a class \(tumor"
    ):
        parse_name(name, CLASSES, who="a.csv, point 4")


@given(st.sampled_from(CLASSES), st.integers(0, 99), st.sampled_from(sorted(ROLES)), st.sampled_from(" _"))
def test_a_full_name_says_all(class_name, number, role, space):
    words = ParsedName(class_name, number, ROLES[role])
    assert parse_name(f"{class_name}{space}{number}{space}{role}", CLASSES, who="") == words
    assert parse_name(f"{role}{space}{class_name.upper()}", CLASSES, who="") == ParsedName(
        class_name, None, ROLES[role]
    )
    if role != "absent":
        assert parse_name(label_of(class_name, number, ROLES[role]), CLASSES, who="") == words


def test_a_number_after_the_default_name_of_a_list_counts_targets():
    assert parse_name("F_1", CLASSES, who="", is_list=True) == ParsedName(number=1)
    assert parse_name("F Copy_2", CLASSES, who="", is_list=True) == ParsedName(number=2)


@given(st.sampled_from(["Ödem", "tumör", "nodulé"]), st.sampled_from(["NFC", "NFD"]), st.sampled_from(["NFC", "NFD"]))
def test_names_are_compared_in_one_unicode_form(name, written, form):
    class_name = unicodedata.normalize(form, name)
    assert parse_name(unicodedata.normalize(written, name) + " 2", [class_name], who="") == ParsedName(class_name, 2)


def test_a_class_that_is_called_like_a_side():
    for name in ("left", "right"):
        parsed = parse_name(f"{name} 1 out left", ["left", "right"], who="x")
        assert parsed == ParsedName(name, 1, "background", "left")


def test_names_of_other_boxes_and_of_lists_after_the_case_are_ignored():
    for name in ("Display ROI", "AnnotationROI", "CropVolumeROI", "a_1", "a 1 ROI"):
        assert parse_name(name, ["tumor"], who="x", case="a", is_list=True) == ParsedName(), name
    # A case that is called like the class.
    assert parse_name("tumor 2", ["tumor"], who="x", case="tumor") == ParsedName("tumor", 2)
