"""The process in which answers run: ``python -m bookkit.teaching.worker JOB ANSWER``, both of them JSON.

:mod:`bookkit.teaching.grading` writes the job and reads the answer.
"""

import doctest
import io
import json
import os
import signal
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path

from bookkit.teaching.grading import CRASHED, FAILED, PASSED, kind, verdict


def work(job_path: str, answer_path: str) -> None:
    """Run the needed cells once, then every answer from that state."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        def enable_gui(self, gui=None):
            """Figures need no window here."""

    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    config = Config()
    config.HistoryManager.enabled = False
    shell = Shell.instance(config=config)
    results = None
    for source in job["needed"]:
        if error := _run(shell, source):
            message = f"in a cell that the exercises need: {_told(error)}"
            results = [verdict(CRASHED, message)] * len(job["runs"])
            break
    if results is None:
        attempt = _forked if hasattr(os, "fork") else _attempt
        results = [attempt(shell, run, job["timeout"]) for run in job["runs"]]
    Path(answer_path).write_text(json.dumps(results), encoding="utf-8")


def _run(shell, source: str) -> BaseException | None:
    """Run one cell as a notebook would, magics included; return what it raised."""
    ran = shell.run_cell(source, store_history=False, silent=True)
    return ran.error_before_exec or ran.error_in_exec


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _forked(shell, run: dict, timeout: int) -> dict:
    """`_attempt` in a fork of this process, so that no answer sees what another one left behind."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(timeout)  # the system ends the fork, whatever it is doing
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)  # a fork has none of its parent's worker threads
        try:
            os.write(theirs, json.dumps(_attempt(shell, run, timeout)).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        report = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return verdict(CRASHED, f"no end after {timeout} s")
    return json.loads(report) if report else verdict(CRASHED, "the Python process ended early")


def _attempt(shell, run: dict, timeout: int) -> dict:
    """Run answer and check in a shell that has the needed cells behind it, then the task's examples."""
    if error := _run(shell, run["answer"]):
        return verdict(CRASHED, _told(error))
    error = _run(shell, run["check"])
    tried = [_try_example(*example, shell.user_ns) for example in run["examples"]]
    agrees, kinds = zip(*tried, strict=True) if tried else ((), ())
    if error is None:
        return verdict(PASSED, "", agrees, kinds)
    if isinstance(error, AssertionError):
        return verdict(FAILED, str(error), agrees, kinds)
    return verdict(CRASHED, _told(error), agrees, kinds)


def _try_example(source: str, want: str, raises: str | None, namespace: dict) -> tuple[bool, str]:
    """Whether a doctest example shows what it promises, and the kind of value it gave."""
    shown, printed = [], io.StringIO()

    def show(value):
        if value is not None:
            shown.append(value)
            print(repr(value))

    before, sys.displayhook = sys.displayhook, show
    try:
        with redirect_stdout(printed):
            exec(compile(source, "<example>", "single"), namespace)
    except Exception as error:
        return raises == "".join(traceback.format_exception_only(error)), type(error).__name__
    finally:
        sys.displayhook = before
    agrees = doctest.OutputChecker().check_output(want, printed.getvalue(), 0)
    return raises is None and agrees, kind(shown[-1]) if shown else "None"


if __name__ == "__main__":
    work(*sys.argv[1:])
