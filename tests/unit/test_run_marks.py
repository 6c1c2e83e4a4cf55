"""book/_ext/run_marks.py: a failed run is shown on its chapter's page, and nothing runs it again."""

import json
import os
from types import SimpleNamespace

import pytest

from book._ext import run_marks

PROBLEM = {"cell": 3, "id": "c2", "kind": "error", "said": "raised ValueError: <script>x</script>", "detail": ""}


@pytest.fixture
def app(tmp_path):
    for name in ("meter", "executed"):
        (tmp_path / "_build" / name).mkdir(parents=True)
    return SimpleNamespace(srcdir=str(tmp_path))


def ran(app, tmp_path, name, *problems):
    record = {"verdict": "failed" if problems else "passed", "problems": problems, "where": "a <b>", "when": "today"}
    (tmp_path / f"_build/meter/{name}.json").write_text(json.dumps(record))
    cells = [{"cell_type": "markdown", "source": "# Title"}, {"cell_type": "code", "source": "1", "outputs": ["o"]}]
    (tmp_path / f"_build/executed/{name}.ipynb").write_text(json.dumps({"cells": cells}))


def shown(app, docname) -> list[dict]:
    source = [json.dumps({"cells": [{"cell_type": "markdown", "source": "# As stored"}]})]
    run_marks.read_failed_run(app, docname, source)
    return json.loads(source[0])["cells"]


def test_a_failed_run_is_shown_with_its_notice_escaped(app, tmp_path):
    ran(app, tmp_path, "01_a", PROBLEM)
    title, notice, code = shown(app, "notebooks/01_a")
    assert title["source"] == "# Title" and code["outputs"] == ["o"]
    assert "Cell 3 (id c2) raised ValueError: &lt;script&gt;x&lt;/script&gt;." in notice["source"]
    assert "what follows was not" in notice["source"] and "a &lt;b&gt;, today" in notice["source"]


def test_another_output_than_the_kept_one_leaves_the_page_whole(app, tmp_path):
    ran(app, tmp_path, "01_a", PROBLEM | {"kind": "differs", "said": "shows something else"})
    assert "Everything on this page was computed" in shown(app, "notebooks/01_a")[1]["source"]


def test_a_passed_run_and_other_pages_are_left_alone(app, tmp_path):
    ran(app, tmp_path, "01_a")
    ran(app, tmp_path, "index", PROBLEM)
    for docname in ("notebooks/01_a", "notebooks/02_never_ran", "book/index"):
        assert [cell["source"] for cell in shown(app, docname)] == ["# As stored"]


def test_a_run_that_never_started_is_told_on_the_stored_chapter(app, tmp_path):
    ran(app, tmp_path, "01_a", PROBLEM | {"cell": 0})
    (tmp_path / "_build/executed/01_a.ipynb").unlink()
    stored, notice = shown(app, "notebooks/01_a")
    assert stored["source"] == "# As stored" and "It did not start" in notice["source"]


def test_only_failed_chapters_are_kept_from_running(app, tmp_path):
    ran(app, tmp_path, "01_a")
    ran(app, tmp_path, "02_b", PROBLEM)
    (tmp_path / "_build/meter/03_c.json").write_text("{half")
    config = SimpleNamespace(nb_execution_excludepatterns=("x",))
    run_marks.leave_out(app, config)
    assert config.nb_execution_excludepatterns == ["x", "notebooks/02_b.ipynb"]


def test_a_page_older_than_its_run_is_read_again(app, tmp_path):
    ran(app, tmp_path, "01_a")
    ran(app, tmp_path, "02_b")
    for path in tmp_path.glob("_build/*/01_a*"):
        os.utime(path, (100, 100))
    env = SimpleNamespace(all_docs={"notebooks/01_a": 200e6, "notebooks/02_b": 200e6, "book/index": 0})
    assert run_marks.when_runs_change(app, env, set(), set(), set()) == ["notebooks/02_b"]
