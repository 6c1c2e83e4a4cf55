"""Write requirements.lock and environment.yml; check that the lock resolves on other Pythons.

    python tools/lock.py              # from the packages of the running environment
    python tools/lock.py --resolve    # every pin has a wheel for Python 3.12 and 3.13

requirements.in names what the book asks for and why; the lock is the exact set that was built and
tested; environment.yml (conda, Binder) carries the same pins for the packages of requirements.in.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# The exact versions of the build. Written by tools/lock.py from requirements.in; do not edit.\n"


def canonical(name: str) -> str:
    """Return a package name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock_text: str) -> dict[str, str]:
    """Return {normalised name: version} of a lock's `name==version` lines."""
    return {
        canonical(name): version
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock_text, re.MULTILINE)
    }


def direct(requirements_text: str) -> list[str]:
    """Return the normalised names that requirements.in asks for, in its order."""
    return [canonical(name) for name in re.findall(r"^([A-Za-z0-9._-]+)", requirements_text, re.MULTILINE)]


def environment_yml(lock_text: str, requirements_text: str) -> str:
    """Return the text of environment.yml for a lock and a requirements.in.

    The extra index holds PyTorch's CPU builds: conda and Binder images have no GPU.
    """
    version = pins(lock_text)
    lines = [f"      - {name}=={version[name]}" for name in direct(requirements_text)]
    return "\n".join(
        [
            "# conda and Binder. Written by tools/lock.py from requirements.lock; do not edit.",
            "name: generative-ai-cell-by-cell",
            "channels:",
            "  - conda-forge",
            "dependencies:",
            "  - python=3.11",
            "  - make",
            "  - pip",
            "  - pip:",
            "      - --extra-index-url https://download.pytorch.org/whl/cpu",
            *lines,
            "      - -e .",
            "",
        ]
    )


def lock_text() -> str:
    """Return the lock of the running environment: every installed package but the book's own."""
    freeze = [
        sys.executable,
        "-m",
        "pip",
        "freeze",
        "--all",
        "--exclude-editable",
        "--exclude",
        "bookkit",
        "--exclude",
        "pip",
    ]
    lines = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout.splitlines()
    # A package installed from a local file or an index of CPU builds is pinned by its public version.
    lines = [re.sub(r"^(\S+) @ .*/[^/]+?-(\d[^-]*)-.*$", r"\1==\2", line) for line in lines]
    lines = [re.sub(r"^(\S+==[^+]+)\+\S+$", r"\1", line) for line in lines]
    return HEADER + "\n".join(sorted(lines, key=str.lower)) + "\n"


def resolve(python_version: str) -> list[str]:
    """Return the pins of the lock for which no wheel exists for the given Python."""
    missing = []
    for name, version in pins((ROOT / "requirements.lock").read_text()).items():
        with tempfile.TemporaryDirectory() as target:
            command = [
                sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed",
                "--only-binary=:all:", "--python-version", python_version, "--target", target, f"{name}=={version}",
            ]  # fmt: skip
            if subprocess.run(command, capture_output=True).returncode != 0:
                missing.append(f"{name}=={version}")
    return missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolve", action="store_true", help="check the lock for Python 3.12 and 3.13")
    if parser.parse_args().resolve:
        failed = False
        for python_version in ("3.12", "3.13"):
            missing = resolve(python_version)
            failed = failed or bool(missing)
            print(f"Python {python_version}:", ", ".join(missing) if missing else "every pin has a wheel")
        sys.exit(failed)
    lock = lock_text()
    (ROOT / "requirements.lock").write_text(lock)
    requirements = (ROOT / "requirements.in").read_text()
    (ROOT / "environment.yml").write_text(environment_yml(lock, requirements))
    print(f"requirements.lock: {len(pins(lock))} packages; environment.yml: {len(direct(requirements))}")


if __name__ == "__main__":
    main()
