"""``python -m bookkit``: see :mod:`bookkit.cli`."""

import sys

try:
    from bookkit.cli import main

    code = main()
except ModuleNotFoundError as error:
    if (error.name or "bookkit").startswith("bookkit"):  # a mistake of ours, not a missing package
        raise
    code = (
        f"bookkit: {sys.executable} lacks {error.name}, a package of the book's environment: run "
        ".venv/bin/python -m bookkit instead, after 'make env' where there is no .venv yet."
    )
sys.exit(code)
