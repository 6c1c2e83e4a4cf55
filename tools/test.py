"""Every check of the book: nbval over the chapters that changed, then the tests, which read those runs."""

import os
import subprocess
import sys
import time

from bookkit import notebooks, paths, status
from tools import execute, runs


def main() -> None:
    began = time.monotonic()
    with runs.alone():
        failed = execute.failures(execute.run(notebooks.chapters(paths.root())))
    # Two workers with one thread each, as for the chapters.
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(execute.WORKERS), "tests", "--ignore=tests/site"]
    code = subprocess.call(command, cwd=paths.root(), env=os.environ | {"OMP_NUM_THREADS": "1"})
    if failed:
        print("test: these chapters failed:\n  " + "\n  ".join(failed))
    if not failed and code == 0:
        status.note_command(paths.root(), "test", time.monotonic() - began)
    sys.exit(bool(failed or code))


if __name__ == "__main__":
    runs.command(main)
