"""nbval runs the chapters; this writes each run down: its outputs, what it took, what it used, and the verdict.

``BOOK_RECORD`` names the folder to write below (``_build`` for the book itself); without it nbval runs as it is.
nbval draws every message of its kernel through `get_kernel_message`. Here the same message goes on to nbclient,
which keeps the outputs of a copy of the notebook, updated and cleared displays included.
"""

import ast
import copy
import os
import re
import time
from pathlib import Path
from queue import Empty

import pytest
from nbval.plugin import IPyNbFile

from bookkit import meter, notebooks, paths

os.environ.update(notebooks.QUIET)  # a progress bar is no result, and must not be compared with one
RECORD = os.environ.get("BOOK_RECORD")


class RecordedFile(IPyNbFile):
    """A notebook whose run is written down when its last cell has run."""

    def setup(self):
        from nbclient import NotebookClient

        self.notebook, self.problems, self.cells, self.now = copy.deepcopy(self.nb), [], {}, None
        self.places = [place for place, cell in enumerate(self.notebook.cells) if cell.cell_type == "code"]
        for place in self.places:
            self.notebook.cells[place].outputs, self.notebook.cells[place].execution_count = [], None
        # Widgets have no place in a page, so their state is left out.
        self.client = NotebookClient(self.notebook, store_widget_state=False, record_timing=False)
        self.client.reset_execution_trackers()
        Path(RECORD).mkdir(parents=True, exist_ok=True)
        with open(Path(RECORD) / "executions.txt", "a", encoding="utf-8") as counter:
            counter.write(f"{self.path.stem}\n")
        self.began, self.reading = time.perf_counter(), meter.Reading()
        super().setup()
        self.measuring = meter.measure(self.kernel.km.provisioner.pid)
        self.reading = self.measuring.__enter__()
        self.nbval_waits, self.kernel.await_reply = self.kernel.await_reply, self.await_reply

    def await_reply(self, msg_id, timeout):
        """Wait for a cell's end as nbval does, but no longer for a kernel that has died."""
        ends = time.monotonic() + timeout
        while self.kernel.is_alive():
            try:
                return self.nbval_waits(msg_id, timeout=min(1, timeout))
            except Empty:
                if time.monotonic() > ends:
                    raise
        raise RuntimeError("the kernel died")

    def get_kernel_message(self, timeout=None, stream="iopub"):
        from nbclient.exceptions import CellExecutionComplete

        message = super().get_kernel_message(timeout, stream)
        asked = message["parent_header"].get("msg_type") == "execute_request"
        if asked and self.now is not None and not message["msg_type"].startswith("comm"):
            try:
                self.client.process_message(message, self.notebook.cells[self.now], self.now)
            except CellExecutionComplete:
                pass
        return message

    def begin(self, item):
        """A cell begins: what the kernel says from now on is its output."""
        if any(problem["kind"] != "differs" for problem in self.problems):
            pytest.skip("a cell above failed")
        self.now, self.client.clear_before_next_output = self.places[item.cell_num], False
        self.cell_began = time.perf_counter()

    def end(self, item, error):
        """A cell has ended; `error` is what nbval raised, None where it passed."""
        cell = self.notebook.cells[self.places[item.cell_num]]
        cell.execution_count = item.cell_num + 1
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
        self.cells[cell.id] = round(time.perf_counter() - self.cell_began, 1)
        if error is not None:
            kind, said = self.told(item, cell, str(error))
            detail = re.sub(r"\x1b\[[0-9;]*m", "", getattr(error, "inner_traceback", None) or str(error))
            place = self.places[item.cell_num] + 1
            self.problems.append({"cell": place, "id": cell.id, "kind": kind, "said": said, "detail": detail})

    def told(self, item, cell, message):
        """A problem's kind, and what the cell did, in words that stand after its number."""
        raised = [output for output in cell.outputs if output.output_type == "error"]
        if message == "Cell outputs differ":
            return "differs", "shows something else than the output that is kept in the notebook"
        if self.timed_out:
            return "timeout", f"had not ended after {item.config.option.nbval_cell_timeout:g} seconds"
        if raised:
            return "error", " ".join(f"raised {raised[0].ename}: {raised[0].evalue}".split())[:300]
        if self.kernel is None or not self.kernel.is_alive():
            return "died", "lost its kernel, which ended; the machine has probably run out of memory"
        return "error", " ".join(f"could not be checked: {message}".split())[:300]

    def uses(self):
        """What the run has used of the book, as its kernel says itself; None where the kernel says nothing more."""
        if self.kernel is None or not self.kernel.is_alive():
            return None
        asked = f"__import__('bookkit.used', fromlist=['report']).report({str(paths.root())!r})"
        wanted = self.kernel.kc.execute("", silent=True, user_expressions={"uses": asked})
        try:
            while (reply := self.kernel.kc.get_shell_msg(timeout=30))["parent_header"].get("msg_id") != wanted:
                pass
            return ast.literal_eval(reply["content"]["user_expressions"]["uses"]["data"]["text/plain"])
        except (Empty, KeyError):
            return None

    def teardown(self):
        from tools import runs

        uses = self.uses()
        super().teardown()
        if hasattr(self, "measuring"):
            self.measuring.__exit__(None, None, None)
        if self.problems or len(self.cells) == len(self.places):  # otherwise it was interrupted
            took = time.perf_counter() - self.began, self.reading.peak_bytes, self.cells
            runs.write(Path(RECORD), self.path, self.nb, self.notebook, uses, self.problems, *took)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    found = yield
    return [
        RecordedFile.from_parent(parent, path=one.path) if RECORD and type(one) is IPyNbFile else one for one in found
    ]


@pytest.hookimpl(trylast=True)  # after nbval has started the kernel
def pytest_runtest_setup(item):
    if isinstance(item.parent, RecordedFile):
        item.parent.begin(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if isinstance(item.parent, RecordedFile) and (report.failed or call.when == "call") and call.when != "teardown":
        item.parent.end(item, call.excinfo.value if report.failed else None)
    return report
