"""Every check of the book: nbval over the chapters that changed, then the tests, which read those runs."""

import os
import subprocess
import sys
import time

from bookkit import notebooks, paths
from tools import execute, runs


def main() -> None:
    began = time.monotonic()
    book = notebooks.chapters(paths.root())
    with runs.alone():
        ran = sum(execute.count().values())
        failed = execute.failures(execute.run(book))
        executed = sum(execute.count().values()) - ran
    # Two workers with one thread each, as for the chapters.
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(execute.WORKERS), "tests", "--ignore=tests/site"]
    code = subprocess.call(command, cwd=paths.root(), env=os.environ | {"OMP_NUM_THREADS": "1"})
    if failed:
        print("test: these chapters failed:\n  " + "\n  ".join(failed))
    if not failed and code == 0:
        execute.note_time("test", time.monotonic() - began, executed, len(book))
    sys.exit(bool(failed or code))


if __name__ == "__main__":
    runs.command(main)
