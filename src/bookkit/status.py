"""Execution status: what each chapter and each command took, and on which machine, kept in data/status.json.

The status page shows it, README names the times of the commands, and every chapter bears its price label.
"""

import json
import re
from pathlib import Path

from nbformat import NotebookNode

from bookkit import files, machine
from bookkit.errors import BookError

COMMANDS = "_build/meter/commands.json"
LANES = "_build/portable/summary.json"
LABEL = re.compile(r"<!-- price:begin -->.*?<!-- price:end -->", re.DOTALL)


def price_label(chapter: dict) -> str:
    """Return the price label of a chapter, as HTML between its two markers.

    Args:
        chapter: its entry in data/status.json: ``seconds``, ``peak_mb``, ``download_mb``, and ``cores``, those that
            the run was given.
    """
    seconds = chapter["seconds"]
    time = f"{seconds:.0f} seconds" if seconds < 60 else f"{seconds / 60:.1f} minutes"
    parts = [
        f"{time} on {'one core' if chapter['cores'] == 1 else str(chapter['cores']) + ' cores'}",
        f"{chapter['peak_mb'] / 1000:.1f} GB of memory",
        f"{chapter['download_mb']} MB of models, fetched once" if chapter["download_mb"] else "no models to fetch",
    ]
    label = f'<p class="price-label"><strong>Price.</strong> {", ".join(parts)}.</p>'
    return f"<!-- price:begin -->\n{label}\n<!-- price:end -->"


def read(root: Path) -> dict:
    """Return data/status.json, or an empty status where none was written yet."""
    path = root / "data/status.json"
    if not path.exists():
        return {"machine": {}, "chapters": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def note_command(root: Path, name: str, seconds: float) -> None:
    """Note what a command took, until `update` carries it into data/status.json.

    Args:
        root: the repository.
        name: "book" or "test" (every chapter executed), "book again" or "test again" (nothing changed).
        seconds: its wall-clock time, set-up apart.

    Raises:
        BookError: the note cannot be written.
    """
    noted = _noted(root / COMMANDS)
    files.write_text(root / COMMANDS, json.dumps(noted | {name: round(seconds, 1)}, indent=1) + "\n")


def update(root: Path) -> list[str]:
    """Carry the last measurements into data/status.json: chapters that passed, commands, lanes, and the machine.

    Args:
        root: the repository.

    Returns:
        One line per chapter, for the command line to print.

    Raises:
        BookError: no chapter has been executed and passed yet.
    """
    names = sorted(path.stem for path in root.glob("notebooks/*.ipynb"))
    records = {name: _noted(root / f"_build/meter/{name}.json") for name in names}
    passed = {name: record for name, record in records.items() if record.get("verdict") == "passed"}
    if not passed:
        raise BookError("No chapter has been executed and passed yet: run 'make book' first.")
    status = read(root)
    status["machine"] = machine.describe()
    lines = []
    for name, record in passed.items():
        entry = {key: record[key] for key in ("seconds", "peak_mb", "download_mb", "cells", "cores")}
        status["chapters"][name] = entry
        lines.append(f"{name:24} {entry['seconds']:6.1f} s {entry['peak_mb']:6.0f} MB {entry['cells']:4} cells")
    status["commands"] = status.get("commands", {}) | _noted(root / COMMANDS)
    for row in _noted(root / LANES).get("rows", []):
        if row["passed"]:
            status.setdefault("lanes", {}).setdefault(row["lane"], {})[row["chapter"]] = round(row["seconds"], 1)
    files.write_text(root / "data/status.json", json.dumps(status, indent=1, sort_keys=True) + "\n")
    return lines


def _noted(path: Path) -> dict:
    """A file of measurements below _build; empty where there is none, or where a run was cut off in it."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {"rows": noted}


def put_label(notebook: NotebookNode, name: str, chapter: dict) -> None:
    """Put the price label between its marks.

    Args:
        notebook: the chapter, changed in place.
        name: its file name, for the message.
        chapter: its entry in data/status.json.

    Raises:
        BookError: the chapter has no place for the label.
    """
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and LABEL.search(cell.source):
            cell.source = LABEL.sub(lambda _: price_label(chapter), cell.source)
            return
    raise BookError(f"{name} has no price label: put <!-- price:begin --><!-- price:end --> below its objectives.")
