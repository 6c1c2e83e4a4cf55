"""Entries of data/models.yml for the models that this project trains."""

import hashlib
import re
from pathlib import Path

from bookkit.errors import BookError

ROOT = Path(__file__).resolve().parents[1]
REGISTRY = ROOT / "data/models.yml"


def manifest(folder: Path) -> dict[str, dict]:
    """{path below the folder: {"bytes": …, "sha256": …}} of every file in it."""
    return {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def register(
    role: str,
    folder: Path,
    *,
    origin: str,
    licence: str,
    parameters: int,
    passport: str,
    registry: Path = REGISTRY,
    path: str | None = None,
) -> None:
    """Rewrite the `pocket` part of a role for the files of a folder; everything else keeps its letters.

    Args:
        role: a role that the registry already names.
        folder: what the book ships.
        origin, licence, parameters, passport: as in the registry.
        registry: the file to change.
        path: the folder as the registry is to name it (default: relative to the repository).

    Raises:
        BookError: the registry does not name the role.
    """
    text = registry.read_text(encoding="utf-8")
    entry = re.search(rf"(?m)^  {re.escape(role)}:\n(?:    title: .*\n)(?P<pocket>    pocket:\n(?:      .*\n)*)", text)
    if entry is None:
        raise BookError(f'{registry} has no role "{role}" with a title and a pocket part: add them first.')
    files = manifest(folder)
    weights = sum(file["bytes"] for name, file in files.items() if name.endswith(".safetensors"))
    lines = ["    pocket:", "      kind: repository", f"      path: {path or folder.relative_to(ROOT).as_posix()}",
             f"      origin: {origin}", "      files:"]  # fmt: skip
    for name, file in files.items():
        lines += [f"        {name}:", f"          {{bytes: {file['bytes']}, sha256: {file['sha256']}}}"]
    lines += [f"      licence: {licence}", f"      parameters: {parameters}", f"      bytes: {weights}",
              f"      passport: {passport}"]  # fmt: skip
    part = registry.with_name(registry.name + ".part")
    part.write_text(text[: entry.start("pocket")] + "\n".join(lines) + "\n" + text[entry.end("pocket") :], "utf-8")
    part.replace(registry)
