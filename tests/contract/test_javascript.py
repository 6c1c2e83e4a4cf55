"""The JavaScript of viewers and pages, read by Biome (biome.json) where Node is; readers of the book need neither."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import ROOT

from bookkit import paths

BIOME = "2.6.8"
"""Pinned, so that no new rule can fail a build by itself."""


@pytest.fixture(scope="module")
def biome() -> list[str]:
    """Biome's command line, installed once into the cache of the book."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed: the JavaScript is not checked here")
    folder = paths.cache() / "tools" / f"biome-{BIOME}"
    script = folder / "node_modules" / "@biomejs" / "biome" / "bin" / "biome"
    if not script.is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
            command = [npm, "install", "--prefix", fresh, "--no-audit", "--no-fund", "--ignore-scripts"]
            command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
            found = subprocess.run([*command, f"@biomejs/biome@{BIOME}"], capture_output=True, text=True, timeout=300)
            if found.returncode:
                reason = f"npm could not install Biome {BIOME}: {found.stderr.strip()[-300:]}"
                if os.environ.get("BOOK_REQUIRE"):
                    pytest.fail(reason, pytrace=False)
                pytest.skip(reason)
            shutil.move(fresh, folder)
            Path(fresh).mkdir()  # what the context manager wants to remove
    return [node, str(script)]


def lint(biome: list[str], root: Path, *files: str) -> tuple[int, str]:
    """The exit status and the words of Biome over these files of a folder with a biome.json."""
    command = [*biome, "lint", "--error-on-warnings", "--colors=off", "--max-diagnostics=50", *files]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8", timeout=120)
    return found.returncode, found.stdout + found.stderr


def test_biome_has_nothing_to_say(biome):
    folders = ("src/bookkit/viewers", "book/_static", "book/_templates", "tests/labs")
    status, said = lint(biome, ROOT, *folders)
    assert status == 0, said
    scripts = [path for folder in folders for path in (ROOT / folder).rglob("*.*js")]
    assert f"Checked {len(scripts)} files" in said


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("var old = 1; el(old);", "noVar"),
        ("speeker();", "noUndeclaredVariables"),
        ("const unused = 1;", "noUnusedVariables"),
    ],
)
def test_biome_would_say_something(biome, tmp_path, line, rule):
    """The configuration is read, and finds what it is there for."""
    settings = (ROOT / "biome.json").read_text(encoding="utf-8")
    (tmp_path / "biome.json").write_text(settings.replace('"src/bookkit/viewers/**/*.js"', '"*.js"'), encoding="utf-8")
    (tmp_path / "viewer.js").write_text(f"{line}\n", encoding="utf-8")
    status, said = lint(biome, tmp_path, "viewer.js")
    assert status != 0 and rule in said
