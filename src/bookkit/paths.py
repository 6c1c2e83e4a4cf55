"""Where things are: the root of the book, its data, and the cache outside the repository.

The cache is ``BOOKKIT_CACHE``, else ``$XDG_CACHE_HOME/bookkit``, else ``~/.cache/bookkit``.
"""

import os
from pathlib import Path

from bookkit import used
from bookkit.errors import BookError


def root() -> Path:
    """The root of the book: BOOK_ROOT, else the first folder with data/models.yml above here or this file.

    Raises:
        BookError: there is none.
    """
    named = os.environ.get("BOOK_ROOT")
    here, package = Path.cwd(), Path(__file__).resolve()
    for folder in [Path(named).expanduser()] if named else [here, *here.parents, *package.parents]:
        if (folder / "data" / "models.yml").is_file():
            return folder.resolve()
    where = f"BOOK_ROOT ({named})" if named else f"any folder above {here}"
    raise BookError(f"There is no data/models.yml in {where}: run inside a copy of the book, or set BOOK_ROOT.")


def cache() -> Path:
    """The folder outside the repository that holds what was fetched (see the module's docstring)."""
    named = os.environ.get("BOOKKIT_CACHE")
    if named:
        return root() / Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bookkit"


def data(relative: str) -> Path:
    """The path of a file or folder below ``data/``.

    Args:
        relative: its path inside ``data/``, such as "corpora/udhr.json".

    Raises:
        BookError: there is no such file.
    """
    path = root() / "data" / relative
    if not path.exists():
        raise BookError(f"data/{relative} is missing: check its name, or run `git checkout data/{relative}`.")
    used.note(path)
    return path


def read_text(relative: str) -> str:
    """The text of a UTF-8 file below ``data/``.

    Args:
        relative: its path inside ``data/``.

    Raises:
        BookError: there is no such file, or it is not UTF-8 (the sentence names the byte).
    """
    try:
        return data(relative).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BookError(
            f"data/{relative} is not UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}): save it as UTF-8."
        ) from error


def restoring(path: str | Path) -> str:
    """What to do about a damaged file or folder of the repository, as the end of a sentence.

    Deleting comes first: where only line ends differ, git takes the file for unchanged, and a checkout does nothing.
    """
    return f"delete {path} and run `git checkout {path}`"
