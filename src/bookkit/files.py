"""Files: their sha256, the manifest of a folder, and writing so that nobody ever sees a half.

A manifest is JSON that says of every file of a folder how many bytes it has and which sha256, so that a folder which
was copied, fetched or trained can be held against what it was::

    {"files": {"config.json": {"bytes": 612, "sha256": "0a4e…"}, …}}
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bookkit.errors import BookError

Inventory = dict[str, dict[str, Any]]


def sha256(path: str | Path) -> str:
    """The sha256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- manifests --------------------------------------------------------------------------------------------


def inventory(folder: str | Path) -> Inventory:
    """Size and sha256 of every file of a folder and the folders in it, by its path below the folder."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write_manifest(folder: str | Path, name: str, about: Mapping[str, Any] | None = None) -> None:
    """Write the manifest of a folder into it; nothing in it depends on the time or the machine.

    Args:
        folder: whose files are listed.
        name: of the manifest; the manifest does not list itself.
        about: what else it is to say, such as the version of a model.

    Raises:
        BookError: it cannot be written.
    """
    found = inventory(folder)
    found.pop(name, None)
    write_text(Path(folder) / name, json.dumps({**(about or {}), "files": found}, indent=1) + "\n")


def manifest_problem(folder: str | Path, name: str, hashes: bool = False) -> str | None:
    """What is wrong with a folder that has a manifest.

    Args:
        folder: the folder.
        name: of its manifest.
        hashes: compare the sha256 of each file, too, not only its size.

    Returns:
        The first thing that is wrong, as part of a sentence; None where all is as recorded.
    """
    try:
        recorded = json.loads((Path(folder) / name).read_text(encoding="utf-8"))["files"]
        return problem(folder, recorded, hashes)
    except FileNotFoundError:
        return f"{name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{name} cannot be read"


def problem(folder: str | Path, recorded: Inventory, hashes: bool = False) -> str | None:
    """What is wrong with the first bad file of those that are recorded, as part of a sentence, or None."""
    problems = (file_problem(Path(folder) / name, record, hashes) for name, record in recorded.items())
    return next((problem for problem in problems if problem), None)


def file_problem(path: Path, record: Mapping[str, Any], hashes: bool = False) -> str | None:
    """What is wrong with a file of which ``bytes`` and ``sha256`` are recorded, as part of a sentence, or None."""
    if not path.is_file():
        return f"{path.name} is missing"
    size = path.stat().st_size
    if size != record["bytes"]:
        return f"{path.name} has {size:,} bytes instead of {record['bytes']:,}"
    if hashes and sha256(path) != record["sha256"]:
        return f"{path.name} does not have the recorded sha256"
    return None


# --- writing ----------------------------------------------------------------------------------------------


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file so that a reader sees the old text or the new one, never a half; leave an equal file alone.

    Args:
        path: the file; its folder is made where it is missing. The mode of an older file is kept.
        text: its new text, with line ends as they are.

    Raises:
        BookError: it cannot be written; what was there stays.
    """
    write_all({path: text.encode()})


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file as :func:`write_text` does, with any content."""
    write_all({path: content})


def write_all(contents: Mapping[str | Path, bytes]) -> None:
    """Write several files: every one beside its place first, and all are renamed only when the last is there.

    Args:
        contents: the new content of each file. A file that has it already is left alone.

    Raises:
        BookError: one of them cannot be written.
    """
    parts: dict[Path, Path] = {}
    try:
        for path, content in ((Path(name), content) for name, content in contents.items()):
            if path.exists() and path.read_bytes() == content:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            parts[path] = Path(temporary)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, mode)
        for path, part in parts.items():
            os.replace(part, path)
    except OSError as error:
        raise BookError(f"{path} cannot be written ({error.strerror}): check the disk and its permissions.") from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
