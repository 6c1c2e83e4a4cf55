"""Checkpoints that say whether they are whole: a manifest of sha256 sums, written last, moved into place at once."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

MANIFEST = "manifest.json"


def save(folder: Path, step: int, write: Callable[[Path], None], keep: int) -> Path:
    """Write a checkpoint and drop the oldest ones.

    Args:
        folder: of all checkpoints of the run.
        step: steps done.
        write: writes the files of the checkpoint into the folder it gets.
        keep: how many checkpoints stay.

    Returns:
        The folder of the new checkpoint.
    """
    target, draft = folder / f"step-{step:07}", folder / f"draft-{step:07}"
    for old in (target, draft):
        shutil.rmtree(old, ignore_errors=True)
    draft.mkdir(parents=True)
    write(draft)
    sums = {str(path.relative_to(draft)): _sha256(path) for path in sorted(draft.rglob("*")) if path.is_file()}
    (draft / MANIFEST).write_text(json.dumps({"step": step, "files": sums}, indent=1), encoding="utf-8")
    os.replace(draft, target)
    for old in found(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def found(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*"))


def newest(folder: Path, say: Callable[[str], None] = print) -> tuple[Path, int] | None:
    """The newest checkpoint that is whole, and its step; a damaged one is named and skipped."""
    for path in reversed(found(folder)):
        problem = _problem(path)
        if not problem:
            return path, json.loads((path / MANIFEST).read_text(encoding="utf-8"))["step"]
        say(f"The checkpoint {path.name} is damaged ({problem}): going back to the one before.")
    return None


def _problem(path: Path) -> str:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        for name, sha256 in manifest["files"].items():
            if not (path / name).exists():
                return f"{name} is missing"
            if _sha256(path / name) != sha256:
                return f"{name} is not as it was written"
    except (OSError, ValueError, KeyError):
        return f"{MANIFEST} cannot be read"
    return ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
