"""Run the chapters with nbval: those that changed, or whose run depends on something that did.

    python -m tools.execute                  # every chapter of _toc.yml
    python -m tools.execute 02_tokenization  # one
    python -m tools.execute --count          # how often each chapter has run since _build was new

Two chapters run at a time, each with one thread: kernels that share their cores with each other's threads are much
slower than kernels that do not. nbval is the only thing that runs a chapter; notebooks/conftest.py writes the run
down, and tools/runs.py knows which run stands.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bookkit import files, notebooks, paths, status
from bookkit.errors import BookError
from tools import runs
from tools.runs import tell

WORKERS = 2
CELL_SECONDS = 600


def nbval(path: Path, record: Path, environment: dict[str, str], python: str = sys.executable) -> dict:
    """Run one chapter with nbval.

    Args:
        path: the chapter.
        record: the folder below which the run is written down.
        environment: variables of the run besides those of this process.
        python: the interpreter of the environment to run it in.

    Returns:
        The record of the run.

    Raises:
        BookError: nbval ended without writing a run down.
    """
    kept = record / "meter" / f"{path.stem}.json"
    kept.unlink(missing_ok=True)
    seconds = os.environ.get("BOOK_CELL_SECONDS", CELL_SECONDS)
    command = [python, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={seconds}"]
    command += ["-p", "no:cacheprovider", "--color=no", "--rootdir", str(paths.root()), str(path)]
    variables = os.environ | {"BOOK_RECORD": str(record)} | environment
    ran = subprocess.run(command, cwd=paths.root(), env=variables, capture_output=True, text=True)
    if not kept.exists():
        raise BookError(f"Chapter {path.stem} could not be run by nbval:\n{(ran.stdout + ran.stderr).strip()}")
    return json.loads(kept.read_text(encoding="utf-8"))


def line(record: dict, name: str) -> str:
    """A run in a line: passed, or which cell did what."""
    if record["verdict"] == runs.PASSED:
        return f"{name} passed in {record['seconds']:.0f} s, peak {record['peak_mb'] / 1000:.2f} GB"
    return f"{name} FAILED: {runs.told(record)}"


def tell_run(record: dict, name: str) -> None:
    """Say what went wrong in a run, cell by cell, and then its line."""
    for problem in record["problems"]:
        tell(f"--- {name}, cell {problem['cell']} (id {problem['id']})\n{problem['detail'].strip()}\n---")
    tell(line(record, name))


def slowest_first(book: Iterable[Path]) -> list[Path]:
    """Chapters in the order that keeps two workers busy to the end, by the times last measured."""
    known = status.read(paths.root())["chapters"]
    return sorted(book, key=lambda path: -known.get(path.stem, {}).get("seconds", 60))


def run(book: list[Path]) -> dict[str, dict]:
    """Bring the runs of chapters up to date, telling of each; return their records by chapter."""
    records, stale = {}, []
    for path in book:
        record = runs.find(path)
        if record is None:
            stale.append(path)
        elif record["verdict"] == runs.PASSED:
            tell(f"{path.stem} stands: validated {record['when']} on {record['where']}, and nothing in it has changed")
        else:
            tell(f"{line(record, path.stem)} ({record['when']}; nothing in it has changed since)")
        records[path.stem] = record

    def one(path: Path) -> None:
        tell(f"running {path.stem} …")
        try:
            record = nbval(path, runs.build(), {"OMP_NUM_THREADS": "1"})
        except BookError as error:
            problem = {"cell": 0, "id": None, "kind": "start", "said": "was not reached", "detail": str(error)}
            record = {"verdict": runs.FAILED, "problems": [problem], "inputs": "", "uses": {}}
            files.write_text(runs.build() / "meter" / f"{path.stem}.json", runs.dumps(record))
        records[path.stem] = record
        tell_run(record, path.stem)
        runs.store(path, record)

    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as workers:
        list(workers.map(one, slowest_first(stale)))
    return records


def failures(records: dict[str, dict]) -> list[str]:
    """The chapters that did not pass, a line each."""
    return [line(record, name) for name, record in records.items() if record["verdict"] != runs.PASSED]


def count() -> dict[str, int]:
    """How often each chapter of the book has run in this folder."""
    counter = runs.build() / "executions.txt"
    ran = collections.Counter(counter.read_text(encoding="utf-8").split() if counter.exists() else [])
    return {path.stem: ran[path.stem] for path in notebooks.chapters(paths.root())}


def note_time(command: str, seconds: float, executed: int, chapters: int) -> None:
    """Note what a command took, where it ran every chapter or none: what lies between says nothing to a reader.

    Args:
        command: "book" or "test".
        seconds: its wall-clock time.
        executed: how many chapters it ran.
        chapters: how many there are.
    """
    if executed in (0, chapters):
        status.note_command(paths.root(), command if executed else f"{command} again", seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="names such as 02_tokenization; all of _toc.yml without any")
    parser.add_argument("--count", action="store_true", help="say how often each chapter ran; exit with 1 unless once")
    options = parser.parse_args()
    if options.count:
        times = count()
        tell(", ".join(f"{name} ran {number} ×" for name, number in times.items()))
        sys.exit(any(number != 1 for number in times.values()))
    book = notebooks.chapters(paths.root())
    if unknown := set(options.chapters) - {path.stem for path in book}:
        sys.exit(f"execute: there is no chapter {', '.join(sorted(unknown))} in _toc.yml.")
    began = time.monotonic()
    with runs.alone():
        records = run([path for path in book if not options.chapters or path.stem in options.chapters])
    failed = failures(records)
    tell(f"{len(records) - len(failed)} of {len(records)} chapters passed ({time.monotonic() - began:.0f} s)")
    sys.exit(bool(failed))


if __name__ == "__main__":
    runs.command(main)
