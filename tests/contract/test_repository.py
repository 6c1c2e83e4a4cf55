"""What holds for the repository as a whole: contents, sizes, licences, pins, configuration."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, listed_chapters

from bookkit import notebooks

MEGABYTE = 1_000_000
LARGEST_FILE = 45 * MEGABYTE
PICKLE_NAMES = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".npy", ".npz", ".bin"}

# Keys of _config.yml that Jupyter Book 1.x reads but does not name in its schema.
READ_WITHOUT_SCHEMA = {"only_build_toc_files", "html.use_multitoc_numbering", "html.comments"}
# The one Sphinx setting that is none of Sphinx's registered values.
NOT_REGISTERED = {"extensions"}


def files_in_git() -> list[Path]:
    """Every file that git tracks or would track; the work tree's files where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        paths = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        apart = {".venv", "_build", ".git"}
        paths = [path for path in ROOT.rglob("*") if not apart & set(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file()]


def test_no_file_is_too_large():
    large = [f"{path.relative_to(ROOT)}" for path in files_in_git() if path.stat().st_size > LARGEST_FILE]
    assert not large, f"larger than 45 MB: {large}; store less, or split it"


def test_a_checkout_keeps_every_byte(tmp_path):
    """With Windows' usual setting, git would turn line ends round, and no recorded hash would hold."""
    small = [path.relative_to(ROOT).as_posix() for path in files_in_git() if path.stat().st_size < MEGABYTE]
    convert = ["git", "-c", "core.autocrlf=true", "checkout-index", f"--prefix={tmp_path}/", "-z", "--stdin"]
    listed = subprocess.run(["git", "ls-files", "-z", *small], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(convert, cwd=ROOT, input=listed, check=True)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    ends = {path: [(folder / path).read_bytes().count(b"\r\n") for folder in (ROOT, tmp_path)] for path in written}
    turned = [str(path) for path, (here, there) in ends.items() if there > here]  # a picture may hold some anyway
    assert len(written) > 100 and not turned, f"{turned}: extend .gitattributes"


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle by its name or by its first bytes (protocol 2 to 5)."""
    with open(path, "rb") as file:
        start = file.read(2)
    return path.suffix in PICKLE_NAMES or (len(start) == 2 and start[0] == 0x80 and start[1] in (2, 3, 4, 5))


def test_no_pickles():
    found = [str(path.relative_to(ROOT)) for path in files_in_git() if is_pickle(path)]
    assert not found, f"{found} may run foreign code when loaded; store safetensors, GGUF or JSON"


def test_a_pickle_is_recognised(tmp_path):
    import pickle

    hidden = tmp_path / "model.dat"
    hidden.write_bytes(pickle.dumps({"weights": [1, 2]}))
    assert is_pickle(hidden)


@pytest.mark.parametrize(
    ("name", "text"), [("LICENSE", "MIT License"), ("LICENSE-CONTENT", "Attribution 4.0 International")]
)
def test_licences(name, text):
    path = ROOT / name
    assert path.is_file() and text in path.read_text(encoding="utf-8"), f"{name} must hold the text of: {text}"


def test_citation_file():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_environment_agrees_with_the_lock():
    from tools.lock import environment_yml

    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    asked = (ROOT / "requirements.in").read_text(encoding="utf-8")
    expected = environment_yml(lock, asked)
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == expected, "run python tools/lock.py"


def test_contents_list_every_notebook():
    assert notebooks.chapters(ROOT) == listed_chapters()
    unlisted = set((ROOT / "notebooks").glob("*.ipynb")) - set(listed_chapters())
    assert not unlisted, f"_toc.yml does not list {sorted(path.name for path in unlisted)}; add or remove them"


def test_contents_list_only_pages_that_exist():
    missing = [page for page in notebooks.pages(ROOT) if not any((ROOT / page).parent.glob(f"{Path(page).name}.*"))]
    assert not missing, f"_toc.yml lists {missing}; write them or drop the lines"


# Configuration ---------------------------------------------------------------------------------------


def schema_keys(schema: dict, prefix: str = "") -> set[str]:
    """The dotted names of all settings in Jupyter Book's JSON schema."""
    found = set()
    for key, value in schema.get("properties", {}).items():
        found |= {prefix + key} | schema_keys(value, f"{prefix}{key}.")
    return found


def used_keys(config: dict, allowed: set[str], prefix: str = "") -> set[str]:
    """The dotted names of all settings in a configuration, down to where the schema stops naming them."""
    found = set()
    for key, value in config.items():
        found.add(prefix + key)
        if isinstance(value, dict) and any(name.startswith(f"{prefix}{key}.") for name in allowed):
            found |= used_keys(value, allowed, f"{prefix}{key}.")
    return found


def jupyter_book_keys() -> set[str]:
    import json

    import jupyter_book

    schema = json.loads(Path(jupyter_book.__file__).with_name("config_schema.json").read_text(encoding="utf-8"))
    return schema_keys(schema) | READ_WITHOUT_SCHEMA


def config() -> dict:
    return yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


def test_configuration_keys_are_known():
    """Jupyter Book passes over a mistyped key in silence; here it is told."""
    allowed = jupyter_book_keys()
    unknown = used_keys(config(), allowed) - allowed
    assert not unknown, f"_config.yml: Jupyter Book does not know {sorted(unknown)}; correct the names"


def test_a_mistyped_key_is_recognised():
    allowed = jupyter_book_keys()
    assert used_keys({"execute": {"timeuot": 3}, "tilte": "x"}, allowed) - allowed == {
        "execute.timeuot",
        "tilte",
    }


def test_sphinx_settings_are_known(tmp_path):
    """The settings below ``sphinx: config:`` are those of Sphinx or of an extension that the book loads."""
    from sphinx.application import Sphinx

    settings = config()["sphinx"]["config"]
    for folder in config()["sphinx"].get("local_extensions", {}).values():
        sys.path.insert(0, str(ROOT / folder))
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (tmp_path / "index.md").write_text("# Index\n")
    extensions = settings.get("extensions", []) + config()["sphinx"].get("extra_extensions", [])
    overrides = {"extensions": extensions, "external_toc_path": "_toc.yml", "html_theme": "sphinx_book_theme"}
    app = Sphinx(tmp_path, None, tmp_path / "out", tmp_path / "trees", "html", overrides, status=None, warning=None)
    unknown = {key for key in settings if key not in app.config} - NOT_REGISTERED
    assert not unknown, f"_config.yml: neither Sphinx nor its extensions know {sorted(unknown)}; correct the names"


def test_jupyter_book_is_of_the_first_series():
    """Version 2 would rename _config.yml; see CONTRIBUTING.md."""
    run = [Path(sys.executable).with_name("jupyter-book"), "--version"]
    text = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert re.match(r"Jupyter Book\s*:\s*1\.", text), f"this is {text.splitlines()[:1]}; run make env"


def test_pytest_keeps_what_nbval_needs():
    """nbval 0.11 collects notebooks through pytest's legacypath plugin."""
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8") + (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "no:legacypath" not in settings


def test_what_is_installed_is_bookkit_and_training():
    from setuptools.config.pyprojecttoml import read_configuration

    installed = read_configuration(ROOT / "pyproject.toml", expand=True)["tool"]["setuptools"]["packages"]
    folders = {path.parent for base in ("src/bookkit", "training") for path in (ROOT / base).rglob("*.py")}
    names = {".".join(folder.relative_to(ROOT).parts).removeprefix("src.") for folder in folders}
    assert set(installed) == names, "a folder with modules needs an __init__.py"
