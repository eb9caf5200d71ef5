"""The commands of docs/datasets.md and of the scripts' own help are commands that the scripts understand."""

import re
import shlex

import pytest

from tests.conftest import ROOT, load_script

PAGES = [ROOT / "docs" / "datasets.md", *sorted((ROOT / "dataset_conversion").glob("from_*.py"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands(page, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    text = re.sub(r"\\+\n\s+", "", page.read_text(encoding="utf-8"))
    commands = re.findall(r"^    python dataset_conversion/(\w+)\.py (.*)$", text, flags=re.MULTILINE)
    assert commands
    for name, arguments in commands:
        words = shlex.split(arguments.replace("$SLURM_ARRAY_TASK_ID", "3"))
        parsed = load_script(name).build_parser().parse_args(words)
        assert 0 < parsed.dataset_id < 1000


def test_every_script_is_described():
    text = PAGES[0].read_text(encoding="utf-8")
    assert all(f"`{page.name}`" in text for page in PAGES[1:])


SIMULATED = ("from_vs", "from_brats", "from_decathlon", "from_dense_dataset")
OWN = ("from_folder", "from_paseg_points")
SECTIONS = {
    "Where points are simulated": SIMULATED,
    "Where points are yours": OWN,
    "What all of them understand": (*SIMULATED, *OWN),
    "Stopping and going on": (*SIMULATED, *OWN),
    "In parts, on several machines": (*SIMULATED, *OWN),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_scripts_understand_what_a_section_says_of_them(section):
    text = PAGES[0].read_text(encoding="utf-8")
    [found] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    options = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", found))
    assert options
    for name in SECTIONS[section]:
        assert options <= load_script(name).build_parser()._option_string_actions.keys(), name
