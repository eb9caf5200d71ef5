"""Split files in every form that datasets publish them in."""

import pytest

from nnunet_paseg.conversion.sources.splits import assign, read_split
from nnunet_paseg.errors import PasegError

EXPECTED = {"a": "training", "b": "training", "c": "validation", "d": "test"}


@pytest.mark.parametrize(
    "text",
    [
        "a,training\nb,training\nc,validation\nd,inference\n",
        "case,split\na,training\nb,train\nc,val\nd,test\n",
        "\ufeffid,centre,Phase\r\na,x,Training\r\n\r\nb,y,training\r\nc,x,Validation\r\nd,,Inference",
        "training,validation,inference\na,c,d\nb,,\n",
        "split,case\ntraining,a\ntraining,b\nvalidation,c\ntest,d\n",
    ],
)
def test_every_form_says_the_same(tmp_path, text):
    (tmp_path / "split.csv").write_text(text, encoding="utf-8")
    assert read_split(tmp_path / "split.csv") == EXPECTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"split\.csv is empty: expected lines of case,training"),
        ("case,split\na,training\nb,trainng\n", r"line 3: 'b,trainng' is no case and its part; expected e\.g\."),
        ("a,training\nb,training\na,validation\n", r"lists a case more than once: \['a'\]"),
        ("training,inference\na,b,c\n", r"line 2: 'c' is in a column without a name"),
        ("a,training,validation\n", r"line 1: 'a,training,validation' is no case and its part"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "split.csv").write_text(text, encoding="utf-8")
    with pytest.raises(PasegError, match=message):
        read_split(tmp_path / "split.csv")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(PasegError, match=r"gone\.csv: cannot be read \(No such file"):
        read_split(tmp_path / "gone.csv")
    (tmp_path / "split.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(PasegError, match=r"split\.csv is no text file"):
        read_split(tmp_path / "split.csv")


def test_cases_that_the_split_does_not_list():
    cases = ["a", "b", "c", "d", "e"]
    assert assign(cases, EXPECTED, unlisted="skip") == EXPECTED
    assert assign(cases, EXPECTED, unlisted="test") == {**EXPECTED, "e": "test"}
    with pytest.raises(PasegError, match=r"does not list 1 of the 5 cases, e\.g\. \['e'\]: pass --unlisted"):
        assign(cases, EXPECTED, unlisted="refuse")
    with pytest.raises(PasegError, match=r"2 of the split's 4 cases are not among the 2 .*\['c', 'd'\] \(found e\.g\."):
        assign(cases[:2], EXPECTED, unlisted="skip")
