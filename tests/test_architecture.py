"""The package's layout: who may import whom, no cycles, nothing loose at the top."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import nnunet_paseg

PACKAGE = Path(nnunet_paseg.__file__).parent
ROOT = PACKAGE.name
TOP = {"__init__", "cli", "errors", "geodesic", "metrics"}
"""Modules outside a subpackage: the command, the error, and two re-exports that other code imports."""
FREE = {"errors", ""}
"""What all may import: the errors, and the constants of the package root."""
MAY_IMPORT = {
    "io": set(),
    "losses": set(),
    "points": {"io"},
    "annotate": {"seeds", "points", "io"},
    "plotting": {"io"},
    "evaluation": {"io"},
    "seeds": {"points", "io"},
    "conversion": {"seeds", "points", "io"},
    "expansion": {"seeds", "points", "plotting", "io"},
    "completion": {"conversion", "expansion", "nnunet", "trainers", "seeds", "points", "io"},
    "trainers": {"losses", "plotting", "io"},
    "checking": {"points", "plotting", "io"},
    "nnunet": {"trainers", "io"},
    "report": {"evaluation", "plotting", "points", "trainers", "io"},
    "ext": {"trainers"},
    "geodesic": {"seeds"},
    "metrics": {"evaluation"},
    "errors": set(),
    "": set(),
}
UNRESTRICTED = {"cli", "demo"}


def modules() -> dict[str, Path]:
    """Return the file of every module of the package, by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = [ROOT, *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, names: set[str]) -> Iterator[str]:
    """Yield the modules of the package that a file imports, inside functions and for types alone too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in names:
                    yield full
                elif node.module in names:
                    yield str(node.module)


def graph() -> dict[str, set[str]]:
    """Return what every module imports of the package."""
    found = modules()
    return {name: set(imports(path, set(found))) for name, path in found.items()}


def part(module: str) -> str:
    """Return the subpackage, or the module, directly below the root."""
    return module.removeprefix(ROOT).lstrip(".").partition(".")[0]


def test_no_module_lies_loose() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == TOP


def test_every_part_has_a_row_in_the_table() -> None:
    assert {part(module) for module in modules()} == {*MAY_IMPORT, *UNRESTRICTED}


def test_imports_follow_the_table() -> None:
    forbidden = [
        f"{module} imports {other}"
        for module, others in graph().items()
        for other in sorted(others)
        if part(module) not in UNRESTRICTED and part(other) not in {part(module), *FREE, *MAY_IMPORT[part(module)]}
    ]
    assert forbidden == []


def test_no_import_cycle() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_the_walk_sees_every_kind_of_import(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "import p.one\nfrom p import two\nfrom p.three import name\nif TYPE_CHECKING:\n    import p.four\n"
        "def f():\n    from p.five import other\n",
        encoding="utf-8",
    )
    names = {"p.one", "p.two", "p.three", "p.four", "p.five"}
    assert set(imports(file, names)) == names
