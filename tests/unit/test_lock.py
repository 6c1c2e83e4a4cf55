"""tools/lock.py and the lists of packages: the same pins everywhere."""

import re
from pathlib import Path

import pytest
import yaml

from tools import lock

ROOT = Path(lock.ROOT)
LOCK = (ROOT / "requirements.lock").read_text()
ASKED = (ROOT / "requirements.in").read_text()


def test_names_are_normalised():
    assert lock.pins("Foo.Bar_baz==1.2\n# c\nx==3 ; python_version > '3'\n") == {"foo-bar-baz": "1.2", "x": "3"}


def test_the_lock_holds_what_was_asked_for_exactly():
    pins = lock.pins(LOCK)
    assert set(lock.direct(ASKED)) <= set(pins)
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", ASKED, re.MULTILINE):
        assert pins[lock.canonical(name)] == version


def test_the_lock_brings_no_cuda_and_no_range():
    pins = lock.pins(LOCK)
    assert pins["torch"] == "2.13.0"
    assert not [name for name in pins if name.startswith("nvidia-") or name == "triton"]
    assert all("==" in line for line in LOCK.splitlines() if line and not line.startswith("#"))


def test_environment_yml_is_the_lock_for_conda():
    text = (ROOT / "environment.yml").read_text()
    assert text == lock.environment_yml(LOCK, ASKED), "run python tools/lock.py"
    packages = yaml.safe_load(text)["dependencies"][-1]["pip"]
    assert "torch==2.13.0" in packages and "-e ." in packages


@pytest.mark.parametrize(
    "name", ["requirements-colab.txt", *(f"requirements-colab-{n}.txt" for n in ("02", "08", "12", "14"))]
)
def test_colab_gets_the_same_versions_and_never_torch_or_numpy(name):
    asked = lock.pins((ROOT / name).read_text())
    pins = lock.pins(LOCK)
    assert asked and all(pins[name] == version for name, version in asked.items())
    assert not {"torch", "numpy"} & asked.keys()
