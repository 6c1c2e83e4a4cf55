"""The settings of a run: config.yml, its smoke variant, and the folder outside the repository for what is made."""

import os
import shutil
from pathlib import Path

import yaml

from bookkit.errors import BookError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def settings(smoke: bool = False) -> dict:
    """The settings of config.yml, with those of `smoke` laid over them on demand."""
    base = yaml.safe_load((HERE / "config.yml").read_text(encoding="utf-8"))
    small = base.pop("smoke")
    return _over(base, small) if smoke else base


def _over(base: dict, change: dict) -> dict:
    merged = dict(base)
    for key, value in change.items():
        merged[key] = _over(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return merged


def work_folder(given: str | None = None, smoke: bool = False) -> Path:
    """Where corpus, checkpoints and logs go: `given`, else POCKET_GPT2_DIR, else a folder of the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(given or os.environ.get("POCKET_GPT2_DIR") or cache / "bookkit-training" / "pocket-gpt2")
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
            "make room, or name another folder with POCKET_GPT2_DIR."
        )
