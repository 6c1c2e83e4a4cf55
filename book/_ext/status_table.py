"""``{status-table}``: what every chapter costs, read from ``data/status.json`` when the book is built."""

import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes

COLUMNS = [
    ("seconds", "Run time", lambda v: f"{v:.0f} s"),
    ("peak_mb", "Peak memory", lambda v: f"{v / 1000:.2f} GB" if v >= 1000 else f"{v:.0f} MB"),
    ("download_mb", "Download", lambda v: "nothing" if not v else f"{v:.0f} MB"),
    ("cells", "Cells", lambda v: f"{v}"),
]


def read_status(path: Path) -> dict:
    try:
        status = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def cell(text: str | nodes.Node) -> nodes.entry:
    paragraph = nodes.paragraph("", "", text) if isinstance(text, nodes.Node) else nodes.paragraph(text=text)
    return nodes.entry("", paragraph)


def chapter(root: Path, name: str) -> nodes.Node:
    """``02_tokenization`` as "2. Tokenization", the notebook's own title, leading to the chapter."""
    number, _, rest = name.partition("_")
    try:
        cells = json.loads((root / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        lines = "".join("".join(c["source"]) for c in cells[:1]).splitlines()
    except (OSError, ValueError, KeyError):
        return nodes.Text(name)
    heading = next((line[2:].strip() for line in lines if line.startswith("# ")), rest.replace("_", " "))
    title = f"{int(number)}. {heading}" if number.isdigit() else heading
    link = addnodes.pending_xref(
        "", refdomain="std", reftype="doc", reftarget=f"/notebooks/{name}", refexplicit=True, refwarn=True
    )
    link += nodes.inline("", title, classes=["xref", "std", "std-doc"])
    return link


class StatusTable(Directive):
    has_content = False

    def run(self):
        env = self.state.document.settings.env
        path = Path(env.srcdir) / "data" / "status.json"
        env.note_dependency(str(path))
        status = read_status(path)
        chapters = status.get("chapters") or {}
        if not chapters:
            text = "No chapter has been measured yet. The command make status measures them all."
            return [nodes.paragraph(text=text)]
        group = nodes.tgroup(cols=1 + len(COLUMNS))
        group += [nodes.colspec(colwidth=3), *(nodes.colspec(colwidth=1) for _ in COLUMNS)]
        head = nodes.row("", cell("Chapter"), *(cell(title) for _, title, _ in COLUMNS))
        group += nodes.thead("", head)
        body = nodes.tbody()
        for name, figures in sorted(chapters.items()):
            row = nodes.row("", cell(chapter(Path(env.srcdir), name)))
            for key, _, form in COLUMNS:
                value = figures.get(key)
                row += cell("not measured" if value is None else form(value))
            body += row
        group += body
        table = nodes.table("", group, classes=["status-table"])
        machine = status.get("machine") or {}
        if isinstance(machine, dict):
            about = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in machine.items())
        else:
            about = str(machine)
        note = f"Measured on this machine: {about}." if about else "The machine was not recorded."
        return [table, nodes.paragraph(text=note, classes=["status-machine"])]


def setup(app):
    app.add_directive("status-table", StatusTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
