"""Notebooks as files: which ones the book has, reading them safely, cleaning them for git.

A chapter is stored with almost no outputs. What stays is text that is a result of the chapter and that
nbval compares: the printed lines of cells tagged ``nbval-check-output``. Everything else (pictures,
timings, widget state, editor metadata) is removed, so that a diff shows what an author changed.
"""

import copy
import json
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from bookkit.errors import BookError
from bookkit.files import write_text

KEEP_TAG = "nbval-check-output"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
QUIET = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
"""The environment of a kernel whose outputs are kept or compared: no progress bars, no warnings about itself."""

_NOTEBOOK_METADATA = ("kernelspec", "language_info", "bookkit", "execution", "mystnb")
_CELL_METADATA = ("tags", "mystnb", "nbgrader", "bookkit", "cellView", "jupyter", "slideshow")
_PLAIN_TEXT = {"text/plain"}
_IN_LAB = "open it in JupyterLab and save it"
_AFRESH = "take a fresh copy of it, or the version in git"


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell; an empty list where it has none."""
    return cell.metadata.get("tags", [])


def chapters(root: str | Path) -> list[Path]:
    """The notebooks that ``_toc.yml`` lists, in reading order, as paths below `root`."""
    toc = Path(root) / "_toc.yml"
    try:
        contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    except OSError:
        raise BookError(f"{toc} cannot be read; run this inside a clone of the book.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise BookError(f"{toc} is not valid YAML; compare it with the version in git.") from None
    found = []
    for page in _pages(contents):
        if page.startswith("notebooks/"):
            path = Path(root) / page.removesuffix(".ipynb")
            path = path.with_name(path.name + ".ipynb")
            if not path.is_file():
                raise BookError(f"_toc.yml lists {page}, but there is no such file: add it or drop the line.")
            found.append(path)
    return found


def pages(root: str | Path) -> list[str]:
    """Every page of the book as ``_toc.yml`` names it (``book/index``, ``notebooks/02_tokenization``, …)."""
    return _pages(yaml.safe_load((Path(root) / "_toc.yml").read_text(encoding="utf-8")))


def _pages(entry) -> list[str]:
    """All values of ``root`` and ``file`` in a table of contents, however deeply nested."""
    if isinstance(entry, list):
        return [page for item in entry for page in _pages(item)]
    if not isinstance(entry, dict):
        return []
    here = [entry[key] for key in ("root", "file") if key in entry]
    return here + [page for key in ("parts", "chapters", "sections") for page in _pages(entry.get(key))]


def read(path: str | Path) -> NotebookNode:
    """Read a notebook as format 4.5, or say in one sentence why it cannot be used.

    Formats 4.0 to 4.4 have cells without ids, and VS Code, Colab and JupyterLab still write them: such a cell gets the
    id of its place (``cell-3``), the same at every reading. A kernelspec must be there: nbval, nbgrader and Colab rely
    on it.
    """
    path = Path(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise BookError(f"There is no notebook {path}; check the name.") from None
    except OSError as error:
        raise BookError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    except UnicodeDecodeError:
        raise BookError(f"{path.name} is not UTF-8 text; {_AFRESH}.") from None
    except json.JSONDecodeError as error:
        raise BookError(
            f"{path.name} is not valid JSON (line {error.lineno}); look there for a merge mark or a cut, or {_AFRESH}."
        ) from None
    except RecursionError:
        raise BookError(f"{path.name} is nested too deeply for a notebook; {_AFRESH}.") from None
    if problem := _flaw(raw):
        raise BookError(f"{path.name} {problem}.")
    _add_ids(raw)
    try:
        notebook = nbformat.v4.reads(json.dumps(raw))
        nbformat.validate(notebook)
    except (nbformat.ValidationError, AttributeError, KeyError, TypeError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise BookError(f"{path.name} does not fit the notebook format ({first}); {_AFRESH}.") from None
    return notebook


def _flaw(raw) -> str | None:
    """What keeps parsed JSON from being a notebook of the book, as the rest of a sentence."""
    if not isinstance(raw, dict) or "nbformat" not in raw:
        return f"is JSON but not a notebook; {_AFRESH}"
    if raw["nbformat"] != 4 or not isinstance(raw.get("nbformat_minor"), int):
        return f"has notebook format {raw['nbformat']}.{raw.get('nbformat_minor')}, not 4; {_IN_LAB}"
    if not isinstance(raw.get("cells"), list) or not all(isinstance(cell, dict) for cell in raw["cells"]):
        return f"is a notebook without a list of cells; {_AFRESH}"
    metadata = raw.get("metadata")
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    if not isinstance(kernel, dict) or not kernel.get("name"):
        return "names no kernel (metadata.kernelspec); choose Python 3 as its kernel in JupyterLab, save it"
    ids = [cell["id"] for cell in raw["cells"] if cell.get("id") is not None]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        return f"has two cells with the id {twice}; {_IN_LAB}"
    return None


def _add_ids(raw: dict) -> None:
    """Give each cell without an id one that no other cell has, and say format 4.5."""
    taken = [cell.get("id") for cell in raw["cells"]]
    for number, cell in enumerate(raw["cells"], 1):
        if cell.get("id") is None:
            cell["id"] = f"cell-{number}"
            while cell["id"] in taken:
                cell["id"] += "-new"
            taken.append(cell["id"])
    raw["nbformat_minor"] = max(raw["nbformat_minor"], 5)


def stripped(notebook: NotebookNode, name: str = "the notebook") -> NotebookNode:
    """A copy of a notebook as git keeps it.

    Kept are sources, ids, tags and the metadata that the book uses, and the text outputs of cells tagged
    ``nbval-check-output``, with their execution count set to 1. Such a cell must not show anything but
    text: nbval would compare a picture's size or a table's HTML, which no two machines share.
    """
    clean = copy.deepcopy(notebook)
    clean.nbformat, clean.nbformat_minor = 4, 5
    clean.metadata = _only(notebook.metadata, _NOTEBOOK_METADATA)
    if clean.metadata.get("kernelspec", {}).get("name") == KERNELSPEC["name"]:
        clean.metadata.kernelspec = nbformat.from_dict(KERNELSPEC)
    clean.metadata.language_info = nbformat.from_dict({"name": "python"})
    for cell in clean.cells:
        cell.metadata = _only(cell.metadata, _CELL_METADATA)
        if "jupyter" in cell.metadata:
            cell.metadata.jupyter = _only(cell.metadata.jupyter, ("source_hidden",))
        cell.metadata = NotebookNode({key: value for key, value in cell.metadata.items() if value})
        if cell.cell_type == "code":
            kept = _merged(cell.outputs) if KEEP_TAG in tags(cell) else []
            cell.outputs = [_kept(output, cell, name) for output in kept]
            cell.execution_count = 1 if cell.outputs else None
    return clean


def _only(mapping: NotebookNode, keys) -> NotebookNode:
    return NotebookNode({key: mapping[key] for key in keys if key in mapping})


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs with neighbouring pieces of the same stream joined: where a kernel flushes is chance."""
    merged: list[NotebookNode] = []
    for output in outputs:
        before = merged[-1] if merged else {}
        if output.output_type == before.get("output_type") == "stream" and output.name == before.name:
            before.text += output.text
        else:
            merged.append(output)
    return merged


def _kept(output: NotebookNode, cell: NotebookNode, name: str) -> NotebookNode:
    """An output that git may hold, or BookError where a kept cell shows something else than text."""
    if output.output_type == "stream" and output.name == "stdout":
        return nbformat.v4.new_output("stream", name="stdout", text=output.text)
    if output.output_type == "execute_result" and set(output.data) == _PLAIN_TEXT:
        return nbformat.v4.new_output("execute_result", data=output.data, execution_count=1)
    shown = " and ".join(sorted(output.get("data", {}))) or output.get("name", output.output_type)
    raise BookError(
        f"{name}, cell {cell.id}: its output is kept for nbval, but it holds {shown}; "
        f"print the result as text in a cell of its own, or remove the tag {KEEP_TAG}."
    )


def strip(path: str | Path) -> bool:
    """Clean a notebook for git, in place. Returns whether the file changed; see `stripped`."""
    path = Path(path)
    text = dumps(stripped(read(path), path.name))
    if text.encode() == path.read_bytes():
        return False
    write_text(path, text)
    return True


def dumps(notebook: NotebookNode) -> str:
    """A notebook as text, always the same for the same content: sorted keys, indent 1, a final newline."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"
