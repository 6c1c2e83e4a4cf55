"""The rooms of bookkit: CONTRIBUTING.md's table names each, and imports run one way through it."""

import ast
import re
from pathlib import Path

from conftest import ROOT

PACKAGE = ROOT / "src" / "bookkit"
SEVERAL_ROWS = ("__init__", "__main__")  # the door of the package: what it hands on comes from any row


def table(text: str) -> dict[str, int]:
    """Module → the number of its row."""
    section = text.split("## The helper package")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name: number for number, row in enumerate(rows) for name in re.findall(r"`(\w+)`", row)}


def imported(source: str) -> set[str]:
    """The modules and packages directly below bookkit that a module imports, at its top or later."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "bookkit":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bookkit."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("bookkit.")}
    return found


def foreign(source: str) -> set[str]:
    """Those imports of a module that lead out of the package to what the package serves."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
    return names & {"training", "notebooks", "tools", "tests"}


def room(path: Path) -> str:
    """The module or package directly below bookkit that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def wrong_ways(rows: dict[str, int], source: str, name: str) -> list[str]:
    """The imports of a module that lead up the table."""
    return sorted(other for other in imported(source) if rows.get(other, len(rows)) < rows[name])


def test_the_table_names_every_module():
    there = {room(path) for path in PACKAGE.rglob("*.py")} - set(SEVERAL_ROWS)
    named = table((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")).keys()
    assert named == there, f"CONTRIBUTING.md, The helper package: add {there - named}, drop {named - there}"


def test_imports_run_one_way():
    rows = table((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    problems = []
    for path in sorted(PACKAGE.rglob("*.py")):
        source, name = path.read_text(encoding="utf-8"), room(path)
        problems += [f"{path.name} imports {other}, which does not belong to bookkit" for other in foreign(source)]
        if name not in SEVERAL_ROWS:
            where = path.relative_to(PACKAGE)
            problems += [f"{where} imports {up}, which stands above {name}" for up in wrong_ways(rows, source, name)]
    assert not problems, problems


def test_an_import_that_leads_up_is_told():
    rows = {"cli": 0, "models": 1, "files": 2}
    assert wrong_ways(rows, "def late():\n    from bookkit import models, cli\n", "files") == ["cli", "models"]
    assert wrong_ways(rows, "import bookkit.models\nfrom bookkit.files import sha256\n", "models") == []
    assert foreign("from training.sweeps import rag\nimport json\n") == {"training"}
