"""Execution status: what each chapter took, kept in data/status.json and shown as its price label."""

import json
import os
import platform
import re
from pathlib import Path

from bookkit import files, notebooks
from bookkit.errors import BookError

LABEL = re.compile(r"<!-- price:begin -->.*?<!-- price:end -->", re.DOTALL)


def price_label(chapter: dict) -> str:
    """Return the price label of a chapter, as HTML between its two markers.

    Args:
        chapter: its entry in data/status.json: ``seconds``, ``peak_mb``, ``download_mb``, ``cores``.
    """
    seconds = chapter["seconds"]
    time = f"{seconds:.0f} seconds" if seconds < 60 else f"{seconds / 60:.1f} minutes"
    parts = [
        f"{time} on {chapter['cores']} cores",
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


def update(root: Path) -> list[str]:
    """Carry the last execution's measurements into data/status.json and the price labels.

    Args:
        root: the repository.

    Returns:
        One line per chapter, for the command line to print.

    Raises:
        BookError: nothing has been executed yet.
    """
    readings = sorted((root / "_build/meter").glob("*.json"))
    if not readings:
        raise BookError("No chapter has been executed yet: run 'make book' first.")
    status = read(root)
    status["machine"] = {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()}
    lines = []
    for reading in readings:
        notebook = root / "notebooks" / f"{reading.stem}.ipynb"
        if not notebook.exists():
            continue
        measured = json.loads(reading.read_text())
        entry = {key: measured[key] for key in ("seconds", "peak_mb", "download_mb", "cells", "cores")}
        status["chapters"][reading.stem] = entry
        _write_label(notebook, price_label(entry))
        lines.append(f"{reading.stem:24} {entry['seconds']:6.1f} s {entry['peak_mb']:6.0f} MB {entry['cells']:4} cells")
    files.write_text(root / "data/status.json", json.dumps(status, indent=1, sort_keys=True) + "\n")
    return lines


def _write_label(notebook: Path, label: str) -> None:
    nb = notebooks.read(notebook)
    for cell in nb.cells:
        if cell.cell_type == "markdown" and LABEL.search(cell.source):
            cell.source = LABEL.sub(lambda _: label, cell.source)
            files.write_text(notebook, notebooks.dumps(nb))
            return
    raise BookError(
        f"{notebook.name} has no price label: put <!-- price:begin --><!-- price:end --> below its objectives."
    )
