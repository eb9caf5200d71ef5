"""What the guides name exists: commands and their options, trainers, files and headings, quoted messages."""

import argparse
import ast
import re
import shlex

import pytest

from benchmarks.accuracy.__main__ import build_parser as accuracy_parser
from benchmarks.expansion.__main__ import build_parser as expansion_parser
from benchmarks.fuzz.__main__ import build_parser as fuzz_parser
from nnunet_paseg.cli import build_parser
from nnunet_paseg.trainers.variants import trainer_class
from tests.conftest import ROOT, load_script

NAMES = ("docs/method", "docs/first_project", "docs/reproducing", "docs/results", "docs/economics", "docs/README")
NAMES += ("docs/expand", "docs/robustness", "docs/troubleshooting", "README", "CONTRIBUTING", "benchmarks/README")
NAMES += ("docs/complete", "docs/json", "docs/cluster", "docs/slicer")
PAGES = [ROOT / f"{name}.md" for name in NAMES]
NNUNET = {
    "nnUNetv2_plan_and_preprocess": "nnunetv2/experiment_planning/plan_and_preprocess_entrypoints.py",
    "nnUNetv2_train": "nnunetv2/run/run_training.py",
    "nnUNetv2_predict": "nnunetv2/inference/predict_from_raw_data.py",
}
FOREIGN = ("Could not find requested nnunet trainer", "operator torchvision::nms", "unable to open shared", "Bus error")
"""Messages that others write."""


def commands(text):
    """Lines of code, and commands in the running text, as words."""
    lines = re.findall(r"^ {4,}(?:python |paseg |nnUNetv2_).*$", text, flags=re.MULTILINE)
    lines += re.findall(r"`((?:paseg|nnUNetv2_\w+) -[^`]*)`", text)
    return [shlex.split(line.strip().replace("$(paseg trainer-dir)", "")) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands(page):
    found = commands(page.read_text(encoding="utf-8"))
    assert found or page.stem not in ("first_project", "reproducing", "troubleshooting", "economics")
    for program, *words in found:
        if program == "paseg":
            assert build_parser().parse_args(words).func
        elif program == "python":
            assert words[0] == "-m"
            parsers = {
                "benchmarks.accuracy": accuracy_parser,
                "benchmarks.expansion": expansion_parser,
                "benchmarks.fuzz": fuzz_parser,
            }
            arguments = parsers[words[1]]().parse_args(words[2:])
            assert getattr(arguments, "output", ROOT).is_dir()
        else:
            source = nnunet_file(NNUNET[program])
            for option in (word for word in words if word.startswith("-")):
                assert re.search(rf"add_argument\(['\"]{option}['\"]", source), (program, option)


def nnunet_file(name):
    import nnunetv2

    return (ROOT.__class__(nnunetv2.__path__[0]).parent / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_trainers(page):
    for name in set(re.findall(r"\b(?:PASeg\w+Trainer|nnUNetTrainer)\w*", page.read_text(encoding="utf-8"))):
        assert trainer_class(name.partition("__")[0]).__name__ == name.partition("__")[0]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8").replace("\n", " ")):
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}, target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_options_of_our_own_in_the_text(page):
    """Every --option between backticks belongs to paseg, to a conversion script or to nnU-Net."""
    known = {"--c", "--val_best", "--disable_tta", "--verify_dataset_integrity", "--help", "--output"}
    known |= set(accuracy_parser()._option_string_actions) | set(expansion_parser()._option_string_actions)
    parsers = [load_script(path.stem).build_parser() for path in (ROOT / "dataset_conversion").glob("from_*.py")]
    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            parsers += action.choices.values()
    for parser in parsers:
        known |= set(parser._option_string_actions)
    for span in re.findall(r"`([^`]+)`", page.read_text(encoding="utf-8")):
        assert set(re.findall(r"(?<!\S)--\w[\w-]*", span)) <= known, span


def test_messages_are_the_packages_own():
    said = "\n".join(strings())
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    quotes = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]
    quotes = [quote for quote in quotes if " " in quote and not quote.startswith(FOREIGN)]
    assert len(quotes) > 20
    for quote in quotes:
        for part in filter(None, (part.strip(" ()") for part in quote.split("..."))):
            assert part in said, quote


def strings():
    """Texts of the package, with ... in the place of what is filled in."""
    for path in (ROOT / "nnunet_paseg").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(v.value) if isinstance(v, ast.Constant) else "..." for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_fuzz_table_is_the_benchmarks_own():
    _, _, rest = (ROOT / "benchmarks" / "results" / "fuzz.md").read_text(encoding="utf-8").partition("| mutation")
    table = "| mutation" + rest.partition("\n\n")[0]
    assert table.count("\n") > 9
    assert table in (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
    assert {row.split("|")[-2].strip() for row in table.splitlines()[2:]} == {"0"}


def test_the_headline_table_is_the_benchmarks_own():
    table, _, _ = (ROOT / "benchmarks" / "results" / "accuracy.md").read_text(encoding="utf-8").partition("\n\n")
    assert table.count("\n") > 5
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")
