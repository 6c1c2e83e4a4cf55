"""Make a run repeatable, and say on what it ran: seeds, threads, versions, device."""

import os
import platform
import random
import sys
from importlib import metadata

import numpy as np


def setup(seed: int = 0, packages: tuple[str, ...] = (), threads: int | None = None) -> None:
    """Seed every generator in use and print one line with the versions that matter here.

    Args:
        seed: seed of Python's, NumPy's and, where torch is imported, torch's generators.
        packages: distributions whose versions the line names, in the chapter's order.
        threads: number of torch's threads; None leaves torch's own choice (the physical cores).
    """
    random.seed(seed)
    np.random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
        if threads is not None:
            torch.set_num_threads(threads)
    print(versions_line(packages), f"seed {seed}", sep=" · ")


def versions_line(packages: tuple[str, ...] = ()) -> str:
    """Return e.g. ``Python 3.11.7 · tokenizers 0.22.2``; a package that is absent is named as such."""
    parts = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            parts.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            parts.append(f"{package} not installed")
    return " · ".join(parts)


def device() -> str:
    """Return ``"cuda"``, ``"mps"`` or ``"cpu"``: the fastest device that torch finds, or BOOK_DEVICE."""
    if chosen := os.environ.get("BOOK_DEVICE"):
        return chosen
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
