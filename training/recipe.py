"""What the recipes share, so that each says only what is its own.

Settings out of a YAML file, and a folder outside the repository for what is made; a command whose foreseeable failures
are one sentence; the pace of a training, its log, and checkpoints from which an interrupted one goes on; the passport
that tells what was measured.
"""

import argparse
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

from bookkit import files
from bookkit.errors import BookError

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = "manifest.json"  # in a checkpoint, written last: what belongs to it

# --- settings and work folder -----------------------------------------------------------------------------


def settings(path: Path, smoke: bool = False, changes: Iterable[str] = ()) -> dict:
    """The settings of a YAML file.

    Args:
        path: the file; its part "smoke" holds what is other in smoke runs.
        smoke: whether to lay that part over the rest.
        changes: single ones laid over both, such as "training.batch=8", the values in YAML.

    Raises:
        BookError: a change names no setting.
    """
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    small = config.pop("smoke")
    return changed(_over(config, small) if smoke else config, changes, path.name)


def changed(config: dict, changes: Iterable[str], file: str) -> dict:
    """Settings in which some are changed.

    Args:
        config: the settings; changed in place.
        changes: such as "training.batch=8", the values in YAML.
        file: where the settings stand, for the message.

    Raises:
        BookError: a change names no setting.
    """
    for change in changes:
        name, _, value = change.partition("=")
        *sections, last = name.split(".")
        part = config
        for section in sections:
            part = part.get(section) if isinstance(part, dict) else None
        if not isinstance(part, dict) or last not in part or not value:
            raise BookError(f'"{change}" changes no setting: write it like training.batch=8, with a name from {file}.')
        part[last] = yaml.safe_load(value)
    return config


def _over(base: dict, change: dict) -> dict:
    merged = dict(base)
    for key, value in change.items():
        merged[key] = _over(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return merged


def cache_folder(variable: str, name: str) -> Path:
    """Where a recipe works: the folder that an environment variable names, else `name` in the user's cache.

    Never inside the repository: checkpoints are large and are not to be committed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(variable) or cache / name).expanduser()


def work_folder(variable: str, name: str, given: str | None = None, smoke: bool = False) -> Path:
    """The folder for corpus, checkpoints, logs and results of a run: `given`, else :func:`cache_folder`; it is made."""
    folder = Path(given) if given else cache_folder(variable, name)
    folder = folder / "smoke" if smoke else folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def need_space(folder: Path, needed: int, what: str) -> None:
    """Find out at the start, not in the middle, that a disk is too full.

    Args:
        folder: where it is to be written.
        needed: bytes.
        what: named in the message.

    Raises:
        BookError: there is less than `needed`.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BookError(
            f"{what} needs {needed / 1e6:,.0f} MB in {folder}, and only {free / 1e6:,.0f} MB are free: "
            "make room, or name another folder with --work."
        )


# --- the command ------------------------------------------------------------------------------------------

Step = Callable[[Path, dict, argparse.Namespace], None]


def run_steps(
    name: str,
    description: str,
    steps: Mapping[str, list[Step]],
    settings: Callable[[bool, Iterable[str]], dict],
    work_folder: Callable[[str | None, bool], Path],
    arguments: list[str] | None,
) -> int:
    """The command line of a recipe: ``STEP [--smoke] [--work FOLDER] [--set NAME=VALUE] [--stop-after N]``.

    Args:
        name: of the model that the recipe makes, such as "pocket-gpt2".
        description: its docstring, of which the first paragraph is shown as help.
        steps: what each word of the command line runs, one after the other. A step takes the work folder, the
            settings, and what else stood on the command line.
        settings: (whether it is a smoke run, changes) → the settings.
        work_folder: (folder on the command line, whether it is a smoke run) → the work folder.
        arguments: None for those of the process.

    Returns:
        The exit code.
    """
    module = f"training.{name.replace('-', '_')}"
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description.split("\n\n")[0])
    parser.add_argument("step", choices=list(steps))
    parser.add_argument("--smoke", action="store_true", help="the whole chain in small, for tests")
    parser.add_argument("--work", help="folder for everything that is made (default: in the user's cache)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another value for a setting")
    parser.add_argument("--stop-after", type=int, help="train: stop at this step; a later call goes on")
    options = parser.parse_args(arguments)

    def run() -> None:
        config, work = settings(options.smoke, options.set), work_folder(options.work, options.smoke)
        for step in steps[options.step]:
            step(work, config, options)

    return command(name, run)


def command(name: str, run: Callable[[], object]) -> int:
    """Run it; a foreseeable failure is one sentence that begins with `name`. Returns the exit code."""
    try:
        run()
    except BookError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0


# --- training ---------------------------------------------------------------------------------------------


def pace(step: int, total: int, warmup: int, end: float) -> float:
    """The share of the highest learning rate: a linear warm-up, then a cosine from 1 to `end` (Loshchilov and Hutter,
    2017, without restarts)."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * done))


class Log:
    """A log of JSON lines, one for each step that is reported; what a resumed run will write again is dropped first.

    Attributes:
        entries: all lines so far, those of the run that is resumed among them.
    """

    def __init__(self, path: Path, step: int, writes: bool = True):
        """Open the log of a run that goes on from `step`; only one of several processes `writes`."""
        self.path, self.writes = path, writes
        self.entries = [entry for entry in read_lines(path) if entry["step"] <= step] if path.exists() else []
        if writes:
            write_lines(path, self.entries)

    def write(self, entry: dict) -> None:
        """Add a line."""
        self.entries.append(entry)
        if self.writes:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(entry))


def _line(entry: dict) -> str:
    return json.dumps(entry) + "\n"


def read_lines(path: Path) -> list[dict]:
    """The lines of a log."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path: Path, entries: Iterable[dict]) -> None:
    """Write a whole log."""
    files.write_text(path, "".join(map(_line, entries)))


def write_json(path: Path, value: Any) -> None:
    """Write what a step found, so that a person can read it too."""
    files.write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


# --- checkpoints ------------------------------------------------------------------------------------------


def step_of(checkpoint: Path | None) -> int:
    """The steps that were done at a checkpoint, the number in its name; 0 for none."""
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0


def checkpoints(folder: Path, kind: str) -> list[Path]:
    """The checkpoints in a folder, KIND-STEP each, oldest first."""
    return sorted(folder.glob(f"{kind}-*"), key=step_of)


def seal(checkpoint: Path) -> None:
    """Write, when all else is written, what a checkpoint holds: one that was cut off or changed is known as such."""
    files.write_manifest(checkpoint, MANIFEST)


def newest(folder: Path, kind: str, say: Callable[[str], None] = print, removes: bool = True) -> Path | None:
    """The newest checkpoint that is whole.

    Args:
        folder: of the run's checkpoints.
        kind: what their names begin with.
        say: is told of each that is damaged.
        removes: whether to remove those, so that they do not count among the ones to be kept; only one of several
            processes should.
    """
    for path in reversed(checkpoints(folder, kind)):
        if not (problem := files.manifest_problem(path, MANIFEST, hashes=True)):
            return path
        say(f"The checkpoint {path.name} is damaged ({problem}): going back to the one before.")
        if removes:
            shutil.rmtree(path)
    return None


# --- the passport -----------------------------------------------------------------------------------------


def measured(work: Path, names: Mapping[str, str]) -> dict:
    """What the steps of a recipe found.

    Args:
        work: the recipe's folder.
        names: what each is called in the result, and its file in `work`: JSON, or a log of JSON lines.

    Raises:
        BookError: a step has not been run.
    """
    found = {}
    for key, name in names.items():
        path = work / name
        try:
            found[key] = read_lines(path) if path.suffix == ".jsonl" else json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BookError(f"{path} is missing: run the steps of the recipe before `publish`.") from None
    return found


def seconds(log: list[dict]) -> float:
    """What the steps of a log took, without set-up and validation."""
    timed = [entry for entry in log if "seconds_per_step" in entry]
    before = [0] + [entry["step"] for entry in timed]
    return sum((entry["step"] - start) * entry["seconds_per_step"] for start, entry in zip(before, timed, strict=False))


def row(*cells: object) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def drawing(fig, alt: str) -> str:
    """A figure as an ``<svg>`` that follows the page's theme and can stand in Markdown; the figure is closed."""
    import matplotlib.pyplot as plt

    from bookkit import figures

    picture = figures.svg(fig, alt)
    plt.close(fig)
    # a blank line would end the HTML block in the page
    return "\n".join(line for line in picture.splitlines() if line.strip())


def page(template: Path, **figures: object) -> str:
    """The text of a passport: no figure in it is typed by hand, each fills its name in the template."""
    return Template(template.read_text(encoding="utf-8")).substitute(figures)
