"""What make's small targets say and return: `make serve`, `make student`."""

import http.server
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def site(tmp_path) -> Path:
    """A root with the script that serves and, where it looks for them, the built pages."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "serve.py", tmp_path / "tools")
    (tmp_path / "_build" / "html").mkdir(parents=True)
    (tmp_path / "_build" / "html" / "index.html").touch()
    return tmp_path


def serve(root: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, root / "tools/serve.py", *words], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("word", ["http", "0", "65536", "-1", "80.5", "8_000", "８０００", "9" * 5000, ""])
def test_what_is_no_port_is_told_in_a_sentence(site, word):
    done = serve(site, word)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("serve: ") and "is no port: give a number from 1 to 65535" in line


def test_a_port_in_use_names_another(site):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        done = serve(site, str(server.server_port))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"port {server.server_port} is in use: run 'make serve PORT=" in line


def test_a_missing_site(site):
    (site / "_build" / "html" / "index.html").unlink()
    done = serve(site, "8000")
    assert done.returncode == 1 and done.stderr == "serve: the site is not built yet: run 'make book' first.\n"


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
@pytest.mark.parametrize("fails", [None, "10", "0"])
def test_student_copies_go_on_after_a_failure_and_end_with_it(tmp_path, fails):
    """The target with another program in the place of the book's Python: it notes its call and fails for one."""
    program, log = tmp_path / "program", tmp_path / "log"
    bad = f'case "$4" in *notebooks/{fails}*) exit 3;; esac\n' if fails else ""
    program.write_text(f'#!/bin/sh\necho "$4" >> "{log}"\n{bad}')
    program.chmod(0o755)
    done = subprocess.run(["make", "-o", "env", "student", f"PY={program}"], cwd=ROOT, capture_output=True, text=True)
    chapters = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert log.read_text().splitlines() == chapters
    assert (done.returncode == 0) is (fails is None), done.stderr
