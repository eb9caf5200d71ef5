"""The commands of docs/datasets.md are commands that `paseg convert` understands, with the options that it names."""

import re
import shlex
from importlib import import_module

import pytest

from nnunet_paseg.cli import build_parser
from nnunet_paseg.conversion.commands.convert import SOURCES
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")


def test_commands():
    text = re.sub(r"\\+\n\s+", "", TEXT).replace("$SLURM_ARRAY_TASK_ID", "3")
    commands = re.findall(r"^    paseg (convert .*)$", text, flags=re.MULTILINE)
    assert commands
    for command in commands:
        assert 0 < build_parser().parse_args(shlex.split(command)).dataset_id < 1000


def test_every_source_is_described():
    assert all(f"`paseg convert {source}`" in TEXT for source in SOURCES)
    scripts = {path.name for path in (ROOT / "dataset_conversion").glob("from_*.py")}
    assert set(re.findall(r"from_\w+\.py", TEXT)) == scripts


SIMULATED = ("vs", "brats", "decathlon", "dense")
OWN = ("folder", "paseg-points")
SECTIONS = {
    "Options for simulated points": SIMULATED,
    "Options for clicked points": OWN,
    "Common options": (*SIMULATED, *OWN),
    "Resuming a conversion": (*SIMULATED, *OWN),
    "Distributed conversion": (*SIMULATED, *OWN),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_commands_understand_the_options_of_their_sections(section):
    [found] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
    options = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", found))
    assert options
    for source in SECTIONS[section]:
        module = import_module(f"nnunet_paseg.conversion.commands.{source.replace('-', '_')}")
        assert options <= module.build_parser()._option_string_actions.keys(), source
