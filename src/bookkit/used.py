"""What a run really used: the files and roles that bookkit handed out, and the book's own modules.

A chapter is run again when one of these changes, and only then. :mod:`bookkit.paths`, :mod:`bookkit.models` and
:mod:`bookkit.results` note what they hand out; :func:`report` is asked by the test runner when a chapter has run.
"""

import sys
from pathlib import Path

REGISTRY = "data/models.yml"
_noted: set[str] = set()


def note(path: Path) -> None:
    """Note a file or a folder that the run opens."""
    _noted.add(str(path.resolve()))


def note_role(role: str) -> None:
    """Note a role of the registry: the run depends on that entry, not on the others."""
    _noted.add(f"{REGISTRY}#{role}")


def report(root: str) -> list[str]:
    """All that this process has used of the book.

    Args:
        root: the root of the book.

    Returns:
        Paths below `root` (a folder stands for everything in it) and ``data/models.yml#ROLE`` for roles, sorted. Of a
        package that was imported, the files beside its modules count too: a viewer's style, a recipe's settings.
    """
    base = Path(root).resolve()
    found = {name for name in _noted if name.startswith(f"{REGISTRY}#")}
    for name in _noted - found:
        if Path(name).is_relative_to(base):
            found.add(Path(name).relative_to(base).as_posix())
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or not Path(file).is_absolute():  # some modules of torch name no real file
            continue
        path = Path(file).resolve()
        if not path.is_relative_to(base):
            continue
        if any(part.startswith((".", "_build")) for part in path.relative_to(base).parts):
            continue  # an environment that lies inside the book
        beside = path.parent.iterdir() if path.name == "__init__.py" else ()
        for used in [path, *(one for one in beside if one.is_file() and one.suffix not in (".py", ".pyc"))]:
            found.add(used.relative_to(base).as_posix())
    return sorted(found)
