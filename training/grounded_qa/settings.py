"""The settings of a run: config.yml, its smoke variant, and the folder outside the repository for what is made."""

import os
from pathlib import Path

import yaml

from bookkit.errors import BookError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DATA = ROOT / "data" / "corpora" / "grounded_qa"
PRECISIONS = ("float32", "bf16", "nf4")


def settings(smoke: bool = False, changes: tuple[str, ...] = ()) -> dict:
    """The settings of config.yml, with those of `smoke` and then single changes laid over them.

    Args:
        smoke: whether to lay the smoke settings over them.
        changes: such as "training.batch=8", the values in YAML.

    Raises:
        BookError: a change names no setting, or its value is of no use.
    """
    config = yaml.safe_load((HERE / "config.yml").read_text(encoding="utf-8"))
    small = config.pop("smoke")
    config = _over(config, small) if smoke else config
    for change in changes:
        name, _, value = change.partition("=")
        *path, last = name.split(".")
        part = config
        for key in path:
            part = part.get(key) if isinstance(part, dict) else None
        if not isinstance(part, dict) or last not in part or not value:
            raise BookError(
                f'"{change}" changes no setting: write it like training.batch=8, with a name from config.yml.'
            )
        part[last] = yaml.safe_load(value)
    for section in ("model", "evaluation"):
        if config[section]["precision"] not in PRECISIONS:
            raise BookError(
                f"{section}.precision is {config[section]['precision']}: set it to {', '.join(PRECISIONS)}."
            )
    return config


def _over(base: dict, change: dict) -> dict:
    merged = dict(base)
    for key, value in change.items():
        deeper = (
            isinstance(value, dict) and isinstance(base.get(key), dict) and key not in ("train", "validation", "test")
        )
        merged[key] = _over(base[key], value) if deeper else value
    return merged


def work_folder(given: str | None = None, smoke: bool = False) -> Path:
    """Where checkpoints, replies and logs go: `given`, else GROUNDED_QA_DIR, else a folder of the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(given or os.environ.get("GROUNDED_QA_DIR") or cache / "bookkit-training" / "grounded-qa")
    folder = folder / "smoke" if smoke else folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder
