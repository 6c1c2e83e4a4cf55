"""Execute chapters through Jupyter Book's cache, measuring each; do nothing for unchanged ones.

    python tools/execute.py                  # every chapter of _toc.yml
    python tools/execute.py 02_tokenization  # one

MyST-NB's cache knows a notebook by its code cells alone. A chapter's outputs also depend on the helper
package, the data it names, the locked versions and the size of models, so those go into a fingerprint
kept beside the measurements; where it differs, the cached run is dropped and made anew.

For every chapter this leaves, under _build/: the run in .jupyter_cache (Jupyter Book finds it there),
the executed notebook in executed/, and seconds, peak memory and cell count in meter/.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from bookkit import files, meter, models, notebooks
from bookkit.errors import BookError

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
TIMEOUT_SECONDS = 600


def fingerprint(notebook: nbformat.NotebookNode) -> str:
    """Return a hash of all that a chapter's outputs depend on besides its own cells.

    That is the helper package, the lock, the registry, the size of models, and the files below data/
    that the cells name in ``bookkit.data("…")``, ``bookkit.read_text("…")`` or ``results.read("…")``; a
    named folder counts with everything in it.
    """
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    names = sorted(set(re.findall(r"""bookkit\.(?:data|read_text)\(\s*["']([^"']+)""", code)))
    sweeps = sorted(set(re.findall(r"""\bresults\.read\(\s*["']([^"']+)""", code)))
    named = [ROOT / "data" / name for name in names + [f"results/{name}.json" for name in sweeps]]
    paths = [*(ROOT / "src").rglob("*"), ROOT / "requirements.lock", ROOT / "data/models.yml"]
    for path in named:
        paths += path.rglob("*") if path.is_dir() else [path]
    digest = hashlib.sha256(models.mode().encode())
    files = [path for path in paths if path.is_file()]
    for path in sorted(path for path in files if not {"__pycache__", "bookkit.egg-info"} & set(path.parts)):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def roles(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the roles that a chapter's cells name in ``bookkit.model("…")``."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return sorted(set(re.findall(r"""bookkit\.model\(\s*["']([^"']+)""", code)))


def run(path: Path, notebook: nbformat.NotebookNode) -> meter.Reading:
    """Execute a notebook in place, in its own folder; return what it took, kernel start to end.

    Raises:
        BookError: a cell failed, took too long, or the kernel died.
    """
    os.environ.update(notebooks.QUIET)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        record_timing=False,
    )
    # A page shows no widgets. nbclient's stand-in for output widgets, with messages of its own to the
    # kernel, can leave both sides waiting for each other on a busy machine.
    client.widget_registry = {}
    try:
        began = time.perf_counter()
        with client.setup_kernel():
            with meter.measure(client.km.provisioner.pid) as kernel:
                for index, cell in enumerate(notebook.cells):
                    client.execute_cell(cell, index)
        seconds = time.perf_counter() - began
    except (CellExecutionError, CellTimeoutError) as error:
        print(re.sub(r"\x1b\[[0-9;]*m", "", str(error)), file=sys.stderr)
        raise BookError(
            f"Chapter {path.stem} failed in cell {index + 1} (id {cell.get('id')}): "
            "mend the cell and run the same command again."
        ) from error
    except DeadKernelError as error:
        raise BookError(
            f"The kernel of chapter {path.stem} died in cell {index + 1}: the machine probably ran out of memory."
        ) from error
    return meter.Reading(seconds=seconds, peak_bytes=kernel.peak_bytes)


def execute(path: Path) -> Path:
    """Execute a chapter unless an equal run is cached; return the path of the executed notebook."""
    notebook = notebooks.read(path)
    cache = get_cache(str(BUILD / ".jupyter_cache"))
    executed, record = BUILD / "executed" / path.name, BUILD / "meter" / f"{path.stem}.json"
    wanted = fingerprint(notebook)
    try:
        cached = cache.match_cache_notebook(notebook)
    except KeyError:
        cached = None
    if cached is not None and executed.exists() and record.exists():
        if json.loads(record.read_text())["fingerprint"] == wanted:
            files.write_text(executed, nbformat.writes(cache.merge_match_into_notebook(notebook)[1]))
            return executed
    if cached is not None:
        cache.remove_cache(cached.pk)
    print(f"executing {path.stem} …", flush=True)
    reading = run(path, notebook)
    cache.cache_notebook_bundle(
        CacheBundleIn(notebook, str(path), data={"execution_seconds": reading.seconds}),
        check_validity=False,
        overwrite=True,
    )
    measured = {
        "seconds": round(reading.seconds, 1),
        "peak_mb": round(reading.peak_bytes / 1e6),
        "download_mb": round(sum(models.download_bytes(role) for role in roles(notebook)) / 1e6),
        "cells": len(notebook.cells),
        "cores": os.cpu_count(),
        "fingerprint": wanted,
    }
    files.write_text(executed, nbformat.writes(notebook))
    files.write_text(record, json.dumps(measured, indent=1) + "\n")
    # Sphinx re-reads a source whose modification time is newer than its last reading.
    path.touch()
    print(f"executed {path.stem} in {reading.seconds:.0f} s, peak {reading.peak_bytes / 1e9:.2f} GB", flush=True)
    return executed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="names such as 02_tokenization; all of _toc.yml without any")
    wanted = parser.parse_args().chapters
    failed = 0
    for path in notebooks.chapters(ROOT):
        if wanted and path.stem not in wanted:
            continue
        try:
            execute(path)
        except BookError as error:
            print(f"execute: {error}", file=sys.stderr)
            failed = 1
    sys.exit(failed)


if __name__ == "__main__":
    main()
