"""Code that a model wrote, run where it can do little harm: another process, with limits, in an empty folder.

The limits hold back accidents (an endless loop, all of the memory), not an attacker: whoever runs code of
strangers needs a container or a machine of its own.
"""

import os
import subprocess
import sys
import tempfile

SECONDS = 5
MEGABYTES = 512


def run(code: str, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> str | None:
    """Run a Python program by itself.

    Args:
        code: of the program.
        seconds: after which it is ended.
        megabytes: of memory that it may take, where the system can limit that.

    Returns:
        None where it ran to its end, else what went wrong, in a line.
    """
    with tempfile.TemporaryDirectory() as folder:
        # -I: no packages of the user and no folder of ours; the environment is empty, so that no key is seen.
        command = [sys.executable, "-I", "-c", f"{_limits(seconds, megabytes)}\n{code}"]
        kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows needs it
        try:
            ran = subprocess.run(
                command, cwd=folder, env=kept, timeout=seconds, capture_output=True, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            return f"did not end within {seconds:g} seconds"
        except (OSError, ValueError) as error:  # a null byte in the code, say
            return f"could not be started: {' '.join(str(error).split())}"
    if ran.returncode == 0:
        return None
    lines = ran.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else f"ended with code {ran.returncode}"


def _limits(seconds: float, megabytes: int) -> str:
    """What the process does first: it limits itself, since this works alike on Linux and macOS."""
    bound = int(megabytes) << 20
    return (
        "try:\n import resource as _r\n"
        f" _r.setrlimit(_r.RLIMIT_CPU, ({int(seconds) + 1}, {int(seconds) + 1}))\n"
        " _r.setrlimit(_r.RLIMIT_FSIZE, (0, 0))\n"
        f" _r.setrlimit(_r.RLIMIT_AS, ({bound}, {bound}))\n"
        "except (ImportError, ValueError, OSError): pass\n"
    )
