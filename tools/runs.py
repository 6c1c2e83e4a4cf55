"""The runs of the chapters: what each depends on, what became of it, and where it is kept.

A run is known by its *inputs* (the code cells with their kept outputs, the locked versions, the size of models, the
kind of processor) and by what it *used* (files, roles and modules, as the run itself reported them). While all of
these are as they were, the run stands, whether it passed or failed, and nothing is executed.

Below ``_build``: ``meter/NAME.json`` is the record of a chapter's last run, ``executed/NAME.ipynb`` the notebook with
its outputs. Runs that passed are kept in ``runs`` of the cache as well, for other clones on the same kind of
processor; ``BOOK_RUN_STORE=off`` leaves that store alone.
"""

import copy
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from filelock import FileLock, Timeout
from nbformat import NotebookNode

from bookkit import files, machine, models, notebooks, paths
from bookkit.errors import BookError

PASSED, FAILED = "passed", "failed"
VECTORS = re.compile(r"avx|amx|fma|sse4|asimd|sve|bf16")
STORE_DAYS = 60  # a stored run that nobody has asked for in this time goes

Say = Callable[[str], None]


def tell(line: str) -> None:
    """Print a line at once, also where the output is a file."""
    print(line, flush=True)


def build() -> Path:
    """The folder of everything that is built."""
    return paths.root() / "_build"


def command(main: Callable[[], None]) -> None:
    """Run a tool's main function; what stops it for good is told in one sentence."""
    try:
        main()
    except BookError as error:
        sys.exit(" ".join(str(error).split()))
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing of the chapters that were running is kept")


@contextmanager
def alone(say: Say = tell) -> Iterator[None]:
    """Hold the folder of built things: a second ``make book`` in the same clone waits for the first."""
    build().mkdir(parents=True, exist_ok=True)
    lock = FileLock(build() / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another 'make book' or 'make test' is at work in this folder: waiting until it has ended …")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


# --- what a run depends on --------------------------------------------------------------------------------


def processor() -> str:
    """The processor's name and which vector instructions it has: they decide how sums are rounded."""
    return " ".join([machine.processor(), *sorted(flag for flag in machine.flags() if VECTORS.match(flag))])


def inputs(notebook: NotebookNode) -> str:
    """A hash of all that decides a run before it has begun."""
    cells = [
        [cell.source, sorted(notebooks.tags(cell)), cell.execution_count, cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    lock = paths.root() / "requirements.lock"
    parts = {
        "cells": cells,
        "mode": models.mode(),
        "lock": lock.read_text(encoding="utf-8") if lock.exists() else "",
        "python": sys.version,
        "processor": processor(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def digest(used: str) -> str:
    """A hash of something that a run used, as :func:`bookkit.used.report` names it; "" where it is gone."""
    name, _, role = used.partition("#")
    path = paths.root() / name
    if role:
        entry = json.dumps(models.registry().get(role), sort_keys=True, default=str)
        return hashlib.sha256(entry.encode()).hexdigest()
    if path.is_dir():
        inside = sorted(one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file())
        inside = [(one, digest(f"{name}/{one}")) for one in inside if "__pycache__" not in one]
        return hashlib.sha256(json.dumps(inside).encode()).hexdigest()
    try:
        return files.sha256(path)
    except OSError:
        return ""


def holds(record: dict, wanted: str) -> bool:
    """Whether a recorded run is still the run that would be made now; `wanted` is :func:`inputs`."""
    return record["inputs"] == wanted and all(digest(used) == was for used, was in record["uses"].items())


# --- where runs are kept ----------------------------------------------------------------------------------


def record_of(path: Path) -> dict | None:
    """The record of a chapter's last run here; None where there is none, or only half a file."""
    try:
        record = json.loads((build() / "meter" / f"{path.stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"inputs", "uses", "verdict"} <= record.keys() else None


def executed_of(path: Path) -> Path:
    """Where the executed copy of a chapter stands."""
    return build() / "executed" / path.name


def with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """A chapter as it is now, with the outputs of a run of the same code cells."""
    merged = copy.deepcopy(notebook)
    ran = (cell for cell in executed.cells if cell.cell_type == "code")
    for cell in (cell for cell in merged.cells if cell.cell_type == "code"):
        before = next(ran)
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
    return merged


def find(path: Path, say: Say = tell) -> dict | None:
    """The run that stands for a chapter as it is now: the last one here, else one of the store; None to run it.

    The executed notebook is brought in line with the chapter's text.
    """
    notebook = notebooks.read(path)
    wanted = inputs(notebook)
    target = executed_of(path)
    record = record_of(path)
    if record is None and (build() / "meter" / f"{path.stem}.json").exists():
        say(f"{path.stem}: the record of its last run is damaged, so it runs again")
    if record and holds(record, wanted) and target.exists():
        executed = target
    elif (stored := _stored(wanted)) is not None:
        record, executed = json.loads((stored / "run.json").read_text(encoding="utf-8")), stored / "run.ipynb"
        os.utime(stored)
    else:
        return None
    try:
        merged = with_outputs(notebook, nbformat.read(executed, as_version=4))
    except (OSError, ValueError, StopIteration):
        say(f"{path.stem}: the notebook of its last run is damaged, so it runs again")
        return None
    files.write_text(target, nbformat.writes(merged))
    files.write_text(build() / "meter" / f"{path.stem}.json", dumps(record))
    return record


def write(
    folder: Path,
    path: Path,
    notebook: NotebookNode,
    executed: NotebookNode,
    uses: list[str] | None,
    problems: list[dict],
    seconds: float,
    peak_bytes: int,
    cells: dict[str, float],
) -> None:
    """Write down a run that nbval has made: its record and its notebook with outputs.

    A run that ended its kernel or was too slow says nothing about the chapter as it is, so it does not stand for it:
    the record then holds no inputs, and the next command runs the chapter again.

    Args:
        folder: where, ``_build`` for the book itself.
        path: the chapter.
        notebook: the chapter as it was read.
        executed: its copy with the outputs of the run.
        uses: what the run has used (:func:`bookkit.used.report`); None where its kernel could not say.
        problems: of the cells that did not pass: ``cell``, ``id``, ``kind``, ``said`` and ``detail``.
        seconds: from before the kernel's start to its end.
        peak_bytes: the largest resident memory of the kernel and its children.
        cells: the seconds of each code cell that has run, by its id.
    """
    stands = uses is not None and not any(problem["kind"] in ("died", "timeout") for problem in problems)
    roles = [used.partition("#")[2] for used in uses or () if "#" in used]
    record = {
        "verdict": FAILED if problems else PASSED,
        "problems": problems,
        "seconds": round(seconds, 1),
        "peak_mb": round(peak_bytes / 1e6),
        "download_mb": round(sum(models.download_bytes(role) for role in roles) / 1e6),
        "cells": len(notebook.cells),
        "cell_seconds": dict(sorted(cells.items(), key=lambda one: -one[1])),
        "cores": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count()),
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "where": f"{machine.processor()}, Python {platform.python_version()}",
        "inputs": inputs(notebook) if stands else "",
        "uses": {used: digest(used) for used in uses or ()},
    }
    files.write_text(folder / "executed" / path.name, nbformat.writes(executed))
    files.write_text(folder / "meter" / f"{path.stem}.json", dumps(record))


def dumps(record: dict) -> str:
    """A record as the text of its file."""
    return json.dumps(record, indent=1) + "\n"


def _shelf() -> Path | None:
    return None if os.environ.get("BOOK_RUN_STORE") == "off" else paths.cache() / "runs"


def _stored(wanted: str) -> Path | None:
    """The folder of a stored run with these inputs whose uses are as they are here."""
    shelf = _shelf()
    for folder in sorted(shelf.glob(f"{wanted[:32]}-*")) if shelf else ():
        try:
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            if record["verdict"] == PASSED and holds(record, wanted) and (folder / "run.ipynb").exists():
                return folder
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def store(path: Path, record: dict, say: Say = tell) -> None:
    """Keep a run that passed for other clones; a store that cannot be written is told and done without."""
    shelf = _shelf()
    if shelf is None or record["verdict"] != PASSED:
        return
    uses = hashlib.sha256(json.dumps(record["uses"], sort_keys=True).encode()).hexdigest()
    target = shelf / f"{record['inputs'][:32]}-{uses[:16]}"
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        for old in shelf.iterdir():
            if time.time() - old.stat().st_mtime > STORE_DAYS * 86_400:
                shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            return
        draft = Path(tempfile.mkdtemp(dir=shelf, prefix=".draft-"))
        shutil.copyfile(executed_of(path), draft / "run.ipynb")
        (draft / "run.json").write_text(dumps(record), encoding="utf-8")
        draft.rename(target)
    except OSError as error:
        say(f"{path.stem}: its run cannot be kept in {shelf} ({error.strerror}): other clones will run it again")


def told(record: dict) -> str:
    """The problems of a failed run in one sentence."""
    first = record["problems"][0]
    others = len(record["problems"]) - 1
    more = f", and {others} more cell{'s' * (others > 1)}" if others else ""
    where = f"cell {first['cell']} (id {first['id']})" if first["cell"] else "its first cell"
    return f"{where} {first['said']}{more}"


def of(path: Path) -> tuple[dict, NotebookNode]:
    """The record and the executed notebook of a chapter as it is now, without running anything.

    Raises:
        BookError: the chapter has not run since it, or something it uses, was changed.
    """
    record = record_of(path)
    if record is None or not executed_of(path).exists() or not holds(record, inputs(notebooks.read(path))):
        raise BookError(f"Chapter {path.stem} has not run as it is now: run 'make test' or 'make book' first.")
    return record, nbformat.read(executed_of(path), as_version=4)
