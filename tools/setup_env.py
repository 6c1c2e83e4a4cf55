"""Create .venv and install the book's exact versions into it; do nothing when nothing changed.

Runs with the system's Python and its standard library alone, and must be *parsed* by old
interpreters too, so that they can say what is wrong: no f-strings, no annotations here.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, ".installed")
LOCK = os.path.join(ROOT, "requirements.lock")
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
FREE_GB_NEEDED = 5.0  # environment and caches together stay below this, measured on Linux
# The first line of a script of Python's, or the first three where its interpreter's path is long or has blanks.
SCRIPT_HEAD = re.compile(b"\\A#!(?:/bin/sh\n'''exec' [^\n]*\n' '''|[^\n]*python[^\n]*)\n")


def stop(sentence):
    sys.stderr.write("setup: " + sentence + "\n")
    sys.exit(1)


def check_system():
    """Refuse the systems that PyTorch has no build for, which pip tells as "no matching distribution"."""
    otherwise = "run the chapters in Colab, or the book on another machine"
    if os.name == "nt":
        stop("the book's commands need Linux or macOS: on Windows run them inside WSL ('wsl --install' sets it up).")
    if sys.maxsize < 2**32:
        stop("this Python has 32 bits and PyTorch needs 64: install a 64-bit Python, or " + otherwise + ".")
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        stop(
            "PyTorch has no build for Intel Macs since version 2.2: " + otherwise + " (a Mac with an Apple "
            "processor has a Python for Intel here: install one for arm64)."
        )
    if sys.platform == "linux" and platform.machine() not in ("x86_64", "aarch64"):
        stop("PyTorch has no build for the processor " + platform.machine() + ": " + otherwise + ".")
    if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        stop("PyTorch needs the GNU C library and this system (like Alpine) has musl: " + otherwise + ".")


def check_machine():
    """Refuse, each in one sentence, what would otherwise fail in the middle with a page of traceback."""
    check_system()
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        stop(
            "Python 3.11, 3.12 or 3.13 is needed and this is {}.{}: install one and run "
            "'make PYTHON=python3.11 book'.".format(*sys.version_info[:2])
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop(
            "Python's venv module is missing: install it (on Debian and Ubuntu: "
            "'sudo apt install python3-venv') and run the same command again."
        )
    if shutil.which("make") is None:
        stop(
            "make is missing: install it (Debian and Ubuntu: 'sudo apt install make', macOS: "
            "'xcode-select --install', conda: 'conda install make') and run 'make book'."
        )
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < FREE_GB_NEEDED and not os.path.exists(STAMP):
        stop(
            "the disk has {:.1f} GB free and the set-up needs {:.0f}: free some space and run the "
            "same command again.".format(free, FREE_GB_NEEDED)
        )


def fingerprint():
    """What the environment is made of, and where: it holds the path of this folder, as do its scripts."""
    digest = hashlib.sha256("\n".join([sys.version, ROOT]).encode("utf-8", "surrogateescape"))
    for name in ("requirements.lock", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def venv_python():
    return os.path.join(VENV, "bin", "python")


def make_environment():
    """Create the environment; one that is there stays, and finds its interpreter again where the folder was moved."""
    new = not os.path.exists(VENV)
    if new:
        print("setup: creating .venv with Python {}.{}".format(*sys.version_info[:2]), flush=True)
    if subprocess.call([sys.executable, "-m", "venv", VENV]) != 0:
        if new:
            shutil.rmtree(VENV, ignore_errors=True)
        stop("the virtual environment .venv could not be created; the message above says why.")
    mend_scripts(os.path.dirname(venv_python()))


def mend_scripts(folder):
    """Let the scripts of an environment name the interpreter beside them, in the form that fits any path."""
    interpreter = os.path.join(folder, "python")
    head = "#!/bin/sh\n'''exec' \"" + interpreter + '" "$0" "$@"\n' + "' '''\n"
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                text = file.read()
            mended = SCRIPT_HEAD.sub(lambda _: head.encode("utf-8", "surrogateescape"), text)
            if mended != text:
                with open(path, "wb") as file:  # in its place, so that it stays executable
                    file.write(mended)


def pip(*arguments):
    command = [venv_python(), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if subprocess.call(command + list(arguments)) != 0:
        stop(
            "pip could not install the packages (its own message stands above): check the network "
            "and the free disk space, then run the same command again; it goes on where it stopped."
        )


def has_nvidia_gpu():
    if shutil.which("nvidia-smi") is None:
        return False
    with open(os.devnull, "w") as null:
        return subprocess.call(["nvidia-smi", "-L"], stdout=null, stderr=null) == 0


def answers(url):
    from urllib.request import urlopen

    try:
        with urlopen(url + "/torch/", timeout=4) as page:
            return page.status == 200
    except (OSError, ValueError):
        return False


def install_torch():
    """Take PyTorch's CPU build where no NVIDIA GPU is; the ordinary Linux build brings gigabytes of CUDA."""
    with open(LOCK) as lock:
        torch = next(line.strip() for line in lock if line.startswith("torch=="))
    if has_nvidia_gpu():
        print("setup: NVIDIA GPU found, installing {} with CUDA".format(torch), flush=True)
        pip(torch)
    elif sys.platform != "darwin" and answers(TORCH_CPU_INDEX):
        print("setup: no NVIDIA GPU, installing the CPU build of {}".format(torch), flush=True)
        pip(torch, "--index-url", TORCH_CPU_INDEX)
    else:
        print("setup: installing {} from the ordinary package index".format(torch), flush=True)
        pip(torch)


def main():
    check_machine()
    wanted = fingerprint()
    if os.path.exists(STAMP):
        with open(STAMP) as stamp:
            if stamp.read() == wanted:
                return
    make_environment()
    install_torch()
    print("setup: installing the locked packages (a few minutes the first time)", flush=True)
    pip("-r", LOCK)
    pip("--no-deps", "--no-build-isolation", "-e", ROOT)
    with open(STAMP, "w") as stamp:
        stamp.write(wanted)
    print("setup: ready", flush=True)


if __name__ == "__main__":
    main()
