"""Results of wide sweeps: figures that a committed script computed once, with the hashes of all they depend on.

A sweep takes more time than a chapter has. Its script below ``training/sweeps/`` ends in :func:`write`, which
keeps the figures in ``data/results/NAME.json`` beside the seeds, the command and the sha256 of every file that
went into them. A chapter calls :func:`read`, which refuses figures whose files have changed since.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bookkit import used
from bookkit.errors import BookError
from bookkit.files import sha256, write_text
from bookkit.paths import restoring, root

FOLDER = "data/results"
_KEYS = {"command", "seeds", "sha256", "figures"}


def write(name: str, figures: Any, *, command: str, seeds: Iterable[int], inputs: Iterable[str]) -> Path:
    """Keep the figures of a sweep as ``data/results/NAME.json``.

    Args:
        name: of the sweep.
        figures: what the chapter reads, anything that JSON can hold.
        command: what makes them again, run in the root of the book.
        seeds: of the sweep's random numbers.
        inputs: code, data and models that went into them, as paths below the root of the book.

    Raises:
        BookError: an input is missing, or the file cannot be written.
    """
    record = {
        "command": command,
        "seeds": list(seeds),
        "sha256": {path: _sha256(path) or _missing(name, path) for path in sorted(inputs)},
        "figures": figures,
    }
    target = root() / FOLDER / f"{name}.json"
    write_text(target, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return target


def read(name: str) -> Any:
    """The figures of a sweep.

    Args:
        name: of the sweep, such as "rnn_vs_gpt".

    Raises:
        BookError: there is no such sweep, its file is damaged, or something it was computed from has changed.
    """
    record = _record(name)
    for path in [f"{FOLDER}/{name}.json", *record["sha256"]]:
        used.note(root() / path)
    if changed := _changed(record):
        raise BookError(
            f"{FOLDER}/{name}.json is stale, since {', '.join(changed)} changed after it was computed: "
            f"run `{record['command']}`."
        )
    return record["figures"]


def names() -> list[str]:
    """The sweeps that have results, in alphabetical order."""
    return sorted(path.stem for path in (root() / FOLDER).glob("*.json"))


def _record(name: str) -> dict:
    path = root() / FOLDER / f"{name}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(names()) or "none yet"
        raise BookError(f"There is no {FOLDER}/{name}.json: the sweeps with results are {known}.") from None
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or not record.keys() >= _KEYS or not isinstance(record["sha256"], dict):
        raise BookError(f"{FOLDER}/{name}.json is no result of a sweep: {restoring(f'{FOLDER}/{name}.json')}.")
    return record


def _changed(record: dict) -> list[str]:
    return [path for path, expected in record["sha256"].items() if _sha256(path) != expected]


def _sha256(path: str) -> str | None:
    """The hash of a file below the root, None where there is none."""
    try:
        return sha256(root() / path)
    except OSError:
        return None


def _missing(name: str, path: str):
    raise BookError(f"The sweep {name} names {path}, which is not there: correct its list of inputs.")
