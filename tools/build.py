"""Build the site: run what changed, run Jupyter Book with warnings as errors, say where the site is.

A chapter that fails does not withhold the book: its page says at its top what happened (book/_ext/run_marks.py),
the other pages are whole, and this ends with a sentence and a non-zero exit code.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

from bookkit import address, notebooks, paths
from tools import execute, runs


def megabytes(folder: Path) -> float:
    """Return the size of a folder's files in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def fill_cache(book: list[Path], records: dict[str, dict]) -> None:
    """Bring Jupyter Book's cache in line with the runs: it holds those that passed, and no others."""
    cache = get_cache(str(runs.build() / ".jupyter_cache"))
    for path in book:
        notebook = notebooks.read(path)
        try:
            cached = cache.match_cache_notebook(notebook)
        except KeyError:
            cached = None
        if records[path.stem]["verdict"] == runs.PASSED:
            executed = nbformat.read(runs.executed_of(path), as_version=4)
            if cached is None or cache.merge_match_into_notebook(notebook)[1] != executed:
                bundle = CacheBundleIn(executed, str(path), data={"execution_seconds": records[path.stem]["seconds"]})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        elif cached is not None:
            cache.remove_cache(cached.pk)


def site() -> bool:
    """Run Jupyter Book; return whether it had nothing to warn of."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-W", "-n", "--keep-going", "-q"]
    if subprocess.call(command, cwd=paths.root()) == 0:
        return True
    # Sphinx does not repeat the warnings of pages it has read: without this a second run would pass.
    shutil.rmtree(runs.build() / ".doctrees", ignore_errors=True)
    shutil.rmtree(runs.build() / "html", ignore_errors=True)
    return False


def main() -> None:
    began = time.monotonic()
    book = notebooks.chapters(paths.root())
    with runs.alone():
        ran = sum(execute.count().values())
        records = execute.run(book)
        fill_cache(book, records)
        if not site():
            sys.exit("build: Jupyter Book reported warnings or errors (above); the site was not built.")
    seconds, page = time.monotonic() - began, runs.build() / "html" / "index.html"
    execute.note_time("book", seconds, sum(execute.count().values()) - ran, len(book))
    print(f"\nThe book stands in {page} ({megabytes(page.parent):.1f} MB, built in {seconds:.0f} s).")
    print("Open that file in a browser, or run 'make serve' and open http://localhost:8000.")
    if note := address.unpublished(paths.root()):
        print(note)
    if failed := execute.failures(records):
        sys.exit("build: the site is whole except where a page says otherwise at its top:\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    runs.command(main)
