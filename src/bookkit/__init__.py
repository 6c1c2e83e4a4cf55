"""The one helper package of the book: registry of models, reproducibility, figures, viewers, teaching.

bookkit resolves names and draws what it is given; the calls to transformers, diffusers, peft
and trl stay in the notebooks, where a reader can see them.
"""

from bookkit import lean  # noqa: F401  (before anything imports nbformat)
from bookkit.errors import BookError
from bookkit.models import available, mode, model, revision
from bookkit.paths import data, read_text

__all__ = ["BookError", "available", "data", "mode", "model", "read_text", "revision"]
