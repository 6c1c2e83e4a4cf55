"""Where the settings of this recipe stand, and where its data and what it makes go."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from bookkit.errors import BookError
from training import recipe

HERE = Path(__file__).resolve().parent
DATA = recipe.ROOT / "data" / "corpora" / "grounded_qa"
PRECISIONS = ("float32", "bf16", "nf4")

work_folder = partial(recipe.work_folder, "GROUNDED_QA_DIR", "bookkit-training/grounded-qa")


def settings(smoke: bool = False, changes: Iterable[str] = ()) -> dict:
    """The settings of config.yml; see :func:`recipe.settings`.

    Raises:
        BookError: a change names no setting, or a precision is of no use.
    """
    config = recipe.settings(HERE / "config.yml", smoke, changes)
    for section in ("model", "evaluation"):
        if config[section]["precision"] not in PRECISIONS:
            raise BookError(
                f"{section}.precision is {config[section]['precision']}: set it to {', '.join(PRECISIONS)}."
            )
    return config
