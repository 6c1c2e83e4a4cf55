"""A chapter whose run failed says so at the top of its page, and shows what the run had shown until then.

tools/build.py has run the chapters before Sphinx starts. What passed lies in Jupyter Book's cache; a chapter that
failed is left out of execution, so that nothing runs it again, and is read from the notebook of its failed run.
"""

import html
import json
from pathlib import Path

NOTICE = """<div class="admonition danger run-failed" role="note">
<p class="admonition-title">This chapter did not pass on the machine that built this page</p>
<p>{what}. {rest} The other chapters are not touched by it.</p>
<p>Please report the first sentence above with the name of the chapter. The machine: {machine}, {when}.</p>
</div>
"""


def failed_run(app, docname: str) -> dict | None:
    """The record of a chapter's last run where that failed; None for all other pages."""
    build = Path(app.srcdir) / "_build"
    try:
        record = json.loads((build / "meter" / f"{Path(docname).name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if docname.startswith("notebooks/") and record.get("verdict") == "failed" else None


def leave_out(app, config) -> None:
    """Keep Jupyter Book from running what has failed, before MyST-NB reads its own settings."""
    failed = [
        f"notebooks/{path.stem}.ipynb"
        for path in (Path(app.srcdir) / "_build" / "meter").glob("*.json")
        if failed_run(app, f"notebooks/{path.stem}")
    ]
    config.nb_execution_excludepatterns = [*config.nb_execution_excludepatterns, *failed]


def read_failed_run(app, docname: str, source: list[str]) -> None:
    """The failed run's notebook in place of the chapter, with the notice below its title."""
    record = failed_run(app, docname)
    if record is None:
        return
    executed = Path(app.srcdir) / "_build" / "executed" / f"{Path(docname).name}.ipynb"
    notebook = json.loads(executed.read_text(encoding="utf-8") if executed.exists() else source[0])
    problem = record["problems"][0]
    what = f"Cell {problem['cell']} (id {problem['id']}) {problem['said']}" if problem["cell"] else "It did not start"
    rest = "What stands above that cell was computed there; what follows was not."
    if problem["kind"] == "differs":
        rest = "Everything on this page was computed there all the same."
    machine, when = record.get("where", "unknown"), record.get("when", "time unknown")
    notice = NOTICE.format(
        **{key: html.escape(value) for key, value in dict(what=what, rest=rest, machine=machine, when=when).items()}
    )
    cell = {"cell_type": "markdown", "id": "run-failed", "metadata": {}, "source": notice}
    notebook["cells"].insert(1, cell)
    source[0] = json.dumps(notebook)


def when_runs_change(app, env, added, changed, removed) -> list[str]:
    """Read a chapter again when its run is newer than its page."""
    build, again = Path(app.srcdir) / "_build", []
    for docname, read in env.all_docs.items():
        kept = [build / "meter" / f"{Path(docname).name}.json", build / "executed" / f"{Path(docname).name}.ipynb"]
        if docname.startswith("notebooks/"):
            # Sphinx keeps the time of reading in microseconds.
            newest = max((path.stat().st_mtime for path in kept if path.exists()), default=0)
            again += [docname] if newest * 1e6 > read else []
    return again


def setup(app):
    app.connect("config-inited", leave_out, priority=100)
    app.connect("env-get-outdated", when_runs_change)
    app.connect("source-read", read_failed_run)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
