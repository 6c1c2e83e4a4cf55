"""Run every notebook against other versions than the locked ones: Colab's, or the newest.

    python tools/lane.py colab     # the versions of tools/lanes/colab.txt
    python tools/lane.py newest    # requirements.in without its pins (torch keeps its own)

Each lane has an environment of its own below .lanes/. A red lane says what will break, before it does;
it does not stop a change from landing.
"""

import argparse
import re
import subprocess
import sys
import venv
from pathlib import Path

import setup_env

ROOT = Path(__file__).resolve().parent.parent
LANES = ("colab", "newest")


def requirements(lane: str) -> Path:
    """Return the requirements file of a lane; the one of `newest` is made from requirements.in."""
    if lane == "colab":
        return ROOT / "tools/lanes/colab.txt"
    asked = (ROOT / "requirements.in").read_text(encoding="utf-8")
    path = ROOT / ".lanes/newest.txt"
    path.write_text(re.sub(r"(?m)^(?!torch==)([\w.-]+)==.*$", r"\1", asked), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lane", choices=LANES)
    lane = parser.parse_args().lane
    home = ROOT / ".lanes" / lane
    home.parent.mkdir(exist_ok=True)
    setup_env.VENV = str(home)  # its pip and its choice of torch serve the lane's environment
    if not Path(setup_env.venv_python()).exists():
        venv.create(home, with_pip=True)
    setup_env.install_torch()
    setup_env.pip("--upgrade", "-r", str(requirements(lane)))
    setup_env.pip("--no-deps", "-e", str(ROOT))
    command = [setup_env.venv_python(), "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env"]
    command += ["--nbval-cell-timeout", "600", "-p", "no:cacheprovider", "notebooks"]
    sys.exit(subprocess.call(command, cwd=ROOT))


if __name__ == "__main__":
    main()
