"""Build the site: execute what changed, run Jupyter Book with warnings as errors, say where the site is."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"


def megabytes(folder: Path) -> float:
    """Return the size of a folder's files in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    started = time.monotonic()
    if subprocess.call([sys.executable, str(ROOT / "tools/execute.py")]) != 0:
        sys.exit("build: a chapter failed (its message stands above); the site was not built.")
    jupyter_book = str(Path(sys.executable).with_name("jupyter-book"))
    command = [jupyter_book, "build", ".", "-W", "-n", "--keep-going", "-q"]
    if subprocess.call(command, cwd=ROOT) != 0:
        # Sphinx does not repeat the warnings of pages it has read: without this a second run would pass.
        shutil.rmtree(BUILD / ".doctrees", ignore_errors=True)
        shutil.rmtree(BUILD / "html", ignore_errors=True)
        sys.exit("build: Jupyter Book reported warnings or errors (above); the site was not built.")
    seconds, page = time.monotonic() - started, BUILD / "html" / "index.html"
    print(f"\nThe book stands in {page} ({megabytes(page.parent):.1f} MB, built in {seconds:.0f} s).")
    print("Open that file in a browser, or run 'make serve' and open http://localhost:8000.")


if __name__ == "__main__":
    main()
