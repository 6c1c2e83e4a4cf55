"""A chapter's code as syntax trees: what its names stand for, and which cells draw."""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

_DRAWING = re.compile(r"matplotlib\.pyplot\.|bookkit\.viewers\.|bookkit\.figures\.show$|.*\.imshow$")
_NO_DRAWING = re.compile(r"matplotlib\.pyplot\.(style|rc|rcParams|close|get_cmap|colormaps|switch_backend)\b")


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@cache
def parse(source: str) -> ast.Module:
    """The syntax tree of a cell's source, magics turned into calls."""
    return ast.parse(TransformerManager().transform_cell(source))


def tree(cell: NotebookNode) -> ast.Module:
    """The syntax tree of a code cell; empty where it is no Python (the rule `valid_python` tells)."""
    try:
        return parse(cell.source)
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def calls(nodes: Iterable[ast.AST]) -> list[ast.Call]:
    """All calls within some nodes."""
    return [sub for node in nodes for sub in ast.walk(node) if isinstance(sub, ast.Call)]


@dataclass
class Names:
    """What a notebook's code binds: imports by local name, and top-level definitions by name."""

    imported: dict[str, str] = field(default_factory=dict)
    defined: dict[str, list[ast.AST]] = field(default_factory=dict)

    def dotted(self, node: ast.AST) -> str:
        """The full name of ``a.b.c``, its import resolved (``plt.plot`` is ``matplotlib.pyplot.plot``)."""
        if isinstance(node, ast.Attribute):
            return f"{self.dotted(node.value)}.{node.attr}"
        return self.imported.get(node.id, node.id) if isinstance(node, ast.Name) else ""

    def reach(self, nodes: Iterable[ast.AST]) -> list[ast.AST]:
        """`nodes` and every definition of the notebook that they use, directly or through others."""
        found, seen, waiting = [], set(), list(nodes)
        while waiting:
            found.append(node := waiting.pop())
            for name in {sub.id for sub in ast.walk(node) if isinstance(sub, ast.Name)} - seen:
                seen.add(name)
                waiting += self.defined.get(name, [])
        return found

    def used(self, nodes: Iterable[ast.AST]) -> set[str]:
        """Every name, attribute and import in `nodes`, imports resolved and split at the dots."""
        dotted = []
        for sub in (sub for node in nodes for sub in ast.walk(node)):
            if isinstance(sub, ast.Name | ast.Attribute):
                dotted.append(self.dotted(sub))
            elif isinstance(sub, ast.Import | ast.ImportFrom):
                dotted += [alias.name for alias in sub.names] + [getattr(sub, "module", None) or ""]
            elif isinstance(sub, ast.Call) and "import" in self.dotted(sub.func):  # importlib.import_module
                dotted += [arg.value for arg in sub.args if isinstance(arg, ast.Constant)]
        return {part for name in dotted for part in name.split(".")}


def names(notebook: NotebookNode) -> Names:
    """The `Names` of all code cells. An alias (``T = tokenizers.Tokenizer``) counts as a definition."""
    found, aliases = Names(), ast.Name | ast.Attribute | ast.Lambda
    for module in map(tree, code_cells(notebook)):
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    target = alias.name if alias.asname else alias.name.partition(".")[0]
                    found.imported[alias.asname or target] = target
            elif isinstance(node, ast.ImportFrom):
                found.imported |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        for node in module.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.defined.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.Assign) and isinstance(node.value, aliases):
                for target in node.targets:
                    found.defined.setdefault(ast.unparse(target), []).append(node.value)
    return found


def active(cell: NotebookNode) -> list[ast.AST]:
    """The top-level statements of a cell that do something when it runs: no definitions, no imports."""
    passive = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return [node for node in tree(cell).body if not isinstance(node, passive)]


def drawing_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that show a picture: they call matplotlib, a viewer, or a function of theirs that does."""
    known = names(notebook)

    def draws(cell: NotebookNode) -> bool:
        called = [known.dotted(call.func) for call in calls(known.reach(active(cell)))]
        return any(_DRAWING.match(name) and not _NO_DRAWING.match(name) for name in called)

    return [cell for cell in code_cells(notebook) if draws(cell)]


def alt_values(nodes: Iterable[ast.AST], known: Names) -> list[ast.AST]:
    """The expressions that calls get as alt text: ``figures.show(figure, alt="…")``."""
    found = []
    for call in calls(nodes):
        found += [keyword.value for keyword in call.keywords if keyword.arg == "alt"]
        if known.dotted(call.func) == "bookkit.figures.show":
            found += call.args[1:2]
    return found


def alt_arguments(cell: NotebookNode, known: Names) -> list[str]:
    """The alt texts that a cell hands to calls, its own functions' among them; f-strings without values."""
    texts = [
        "".join(str(sub.value) for sub in ast.walk(value) if isinstance(sub, ast.Constant))
        for value in alt_values(known.reach(active(cell)), known)
    ]
    return [text for text in texts if text]
