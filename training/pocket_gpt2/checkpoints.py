"""Checkpoints: written aside, sealed, moved into place at once, and the oldest dropped."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from training import recipe

KIND = "step"  # what the names of checkpoints begin with


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
    target, draft = folder / f"{KIND}-{step:07}", folder / f"draft-{step:07}"
    for old in (target, draft):
        shutil.rmtree(old, ignore_errors=True)
    draft.mkdir(parents=True)
    write(draft)
    recipe.seal(draft)
    os.replace(draft, target)
    for old in recipe.checkpoints(folder, KIND)[:-keep]:
        shutil.rmtree(old)
    return target
