"""Entries of data/models.yml for the models that this project trains."""

import re
from pathlib import Path

from bookkit import files
from bookkit.errors import BookError
from training.recipe import ROOT

REGISTRY = "data/models.yml"


def register(
    role: str, path: str, *, origin: str, licence: str, parameters: int, passport: str, root: Path = ROOT
) -> files.Inventory:
    """Rewrite the `pocket` part of a role for the files of a folder; everything else keeps its letters.

    Args:
        role: a role that the registry already names.
        path: the folder that the book ships, below `root`.
        origin, licence, parameters, passport: as in the registry.
        root: the repository.

    Returns:
        Size and sha256 of every file in the folder.

    Raises:
        BookError: the registry does not name the role.
    """
    registry = root / REGISTRY
    text = registry.read_text(encoding="utf-8")
    entry = re.search(rf"(?m)^  {re.escape(role)}:\n(?:    title: .*\n)(?P<pocket>    pocket:\n(?:      .*\n)*)", text)
    if entry is None:
        raise BookError(f'{registry} has no role "{role}" with a title and a pocket part: add them first.')
    found = files.inventory(root / path)
    weights = sum(file["bytes"] for name, file in found.items() if name.endswith(".safetensors"))
    lines = ["    pocket:", "      kind: repository", f"      path: {path}",
             f"      origin: {origin}", "      files:"]  # fmt: skip
    for name, file in found.items():
        lines += [f"        {name}:", f"          {{bytes: {file['bytes']}, sha256: {file['sha256']}}}"]
    lines += [f"      licence: {licence}", f"      parameters: {parameters}", f"      bytes: {weights}",
              f"      passport: {passport}"]  # fmt: skip
    files.write_text(registry, text[: entry.start("pocket")] + "\n".join(lines) + "\n" + text[entry.end("pocket") :])
    return found
