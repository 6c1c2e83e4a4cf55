"""Where the settings of this recipe stand, and where what it makes goes."""

from functools import partial
from pathlib import Path

from training import recipe

HERE = Path(__file__).resolve().parent
settings = partial(recipe.settings, HERE / "config.yml")
work_folder = partial(recipe.work_folder, "POCKET_GPT2_DIR", "bookkit-training/pocket-gpt2")
