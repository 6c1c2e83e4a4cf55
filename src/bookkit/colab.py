"""The set-up cell for Google Colab: one text for all chapters, and the work that it hands to this module.

The cell (`CELL`) only fetches the repository and puts it on the path. :func:`prepare` then installs what the
open chapter needs and Colab lacks, and fetches its models. Which chapter that is, Colab's front end tells: it
has the notebook, and the notebook's metadata hold its number. Where it does not tell, everything is installed.
"""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nbformat import NotebookNode, from_dict

from bookkit import fetch, models, notebooks, paths
from bookkit.errors import BookError

GUARD = "google.colab"

CELL = """\
# @title On Colab: fetch the book's files, packages and pocket models (skipped elsewhere)
import importlib.util
import sys

REPOSITORY = "{repository}"
PAGES = "{pages}"
if "google.colab" in sys.modules:
    !test -d /content/book || git clone --quiet --depth 1 {REPOSITORY} /content/book
    %cd -q /content/book/notebooks
    sys.path[:0] = ["/content/book/src", "/content/book"]
if importlib.util.find_spec("bookkit") is None:
    raise ModuleNotFoundError(
        f"a chapter needs the book around it: run `git clone {REPOSITORY}`, then "
        "`make lab` in the new folder, or choose its .venv as this notebook's kernel"
    )
if "google.colab" in sys.modules:
    from bookkit import colab

    colab.prepare()
    print("The published pages of this book:", PAGES or "not published yet")"""
"""The cell, with places for the two addresses of ``_config.yml``."""

_METADATA = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["hide-input"]}


def cell_text(repository: str, pages: str) -> str:
    """The source of the set-up cell, as every chapter holds it.

    Args:
        repository: the address of the repository.
        pages: the address of the published pages; "" while there is none.
    """
    return CELL.replace("{repository}", repository).replace("{pages}", pages)


def put_cell(notebook: NotebookNode, name: str, source: str) -> None:
    """Put the set-up cell in the place of the one that a chapter has.

    Args:
        notebook: the chapter, changed in place.
        name: its file name, for the message.
        source: what `cell_text` gave.

    Raises:
        BookError: the chapter has no such cell, or two.
    """
    found = [cell for cell in notebook.cells if cell.cell_type == "code" and GUARD in cell.source]
    if len(found) != 1:
        raise BookError(f"{name} has {len(found)} code cells that name {GUARD}: keep one, the first below its set-up.")
    found[0].source = source
    found[0].metadata = from_dict(_METADATA)


def prepare(say: Callable[[str], None] = print) -> None:
    """On Colab, install what the open chapter needs and fetch its models; what is there already is left.

    torch and numpy stay as Colab has them: no requirement asks for others.

    Args:
        say: takes the progress messages.

    Raises:
        BookError: a package cannot be installed or a model cannot be fetched.
    """
    root = paths.root()
    chapter = open_chapter(root)
    say("installing what Colab lacks …")
    _pip("--no-deps", "-r", str(root / "requirements-colab.txt"))
    for path in sorted(root.glob(f"requirements-colab-{_number(chapter)}.txt")):
        _pip("-r", str(path))
    importlib.invalidate_caches()
    # Python processes that a cell starts find the book's code as the kernel does.
    found_in = [str(root / "src"), str(root), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, found_in))
    wanted = roles(chapter) if chapter else []
    if models.mode() == "pocket" and (wanted or not chapter):  # in hub mode from_pretrained downloads them
        fetch.fetch(wanted, say=say)


def open_chapter(root: Path) -> NotebookNode | None:
    """The repository's copy of the notebook that is open in Colab; None where Colab does not tell.

    Its front end answers through a function that is not documented, so any failure of it counts as no answer.
    """
    try:
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", timeout_sec=10)
        number = int(answer["ipynb"]["metadata"]["bookkit"]["chapter"]["number"])
    except Exception:
        return None
    return next((notebooks.read(path) for path in (root / "notebooks").glob(f"{number:02d}_*.ipynb")), None)


def roles(notebook: NotebookNode) -> list[str]:
    """The roles that a chapter's cells name in ``bookkit.model("…")``, but those that nobody fetches unasked."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    named = set(re.findall(r"""\bbookkit\.model\(\s*["']([^"']+)""", code))
    return sorted(named - {role for role, entry in models.registry().items() if models.only_by_name(entry)})


def _number(chapter: NotebookNode | None) -> str:
    """The two digits of a chapter, or the pattern for all of them."""
    return f"{chapter.metadata.bookkit.chapter.number:02d}" if chapter else "*"


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1].removeprefix("ERROR: ")
        raise BookError(f"Colab's pip could not install {arguments[-1]} ({reason}): run the cell again.")
