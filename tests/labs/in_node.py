"""Runs the tests of a lab's module in Node, over golden values that Python computes while it tests."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "labs"


def node() -> str:
    """Node's path. Readers of the book need none, so without it these tests skip."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node is not installed: the labs' modules are not tested here")
    return found


def hold(folder: Path, name: str, golden: dict) -> str:
    """Run tests/labs/NAME.test.mjs, which finds the golden values in $GOLDEN; return what it said."""
    path = folder / "golden.json"
    path.write_text(json.dumps(golden), encoding="utf-8")
    command = [node(), "--test", "--test-reporter=tap", str(FOLDER / f"{name}.test.mjs")]
    environment = os.environ | {"GOLDEN": str(path)}
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300, env=environment)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "# fail 0" in said and "# pass 0" not in said, said
    return said
