"""``{status-table}``: what every chapter costs, on which machine, read from ``data/status.json`` at the build."""

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes

from bookkit import chapters, status

COLUMNS = [
    ("seconds", "Run time", lambda v: f"{v:.0f} s"),
    ("peak_mb", "Peak memory", lambda v: f"{v / 1000:.2f} GB" if v >= 1000 else f"{v:.0f} MB"),
    ("download_mb", "Download", lambda v: "nothing" if not v else f"{v:.0f} MB"),
    ("cells", "Cells", lambda v: f"{v}"),
]
LANES = {
    "avx2": "With AVX2 only, one thread",
    "plain": "Without vector extensions, one thread",
    "threads4": "With four threads",
}


def cell(text: str | nodes.Node) -> nodes.entry:
    paragraph = nodes.paragraph("", "", text) if isinstance(text, nodes.Node) else nodes.paragraph(text=text)
    return nodes.entry("", paragraph)


def link(chapter: chapters.Chapter) -> nodes.Node:
    """The chapter's number and title, leading to it."""
    to = f"/notebooks/{chapter.path.stem}"
    reference = addnodes.pending_xref("", refdomain="std", reftype="doc", reftarget=to, refexplicit=True, refwarn=True)
    reference += nodes.inline("", f"{chapter.number}. {chapter.title}", classes=["xref", "std", "std-doc"])
    return reference


def about(machine: dict, cores: set[int]) -> str:
    """What the figures were measured on: processor, cores, those that a chapter used, and the features for speed."""
    if not machine:
        return "The machine was not recorded."
    sentence = f"Measured on {machine['processor']} with {machine['cores']} cores and Python {machine['python']}."
    if cores == {1}:
        sentence += " Each chapter ran on one core."
    features = machine.get("features")
    if not features:
        return f"{sentence} Its system does not tell which vector extensions the processor has."
    there = [name for name, found in features.items() if found]
    lacking = [name for name, found in features.items() if not found]
    has = f"The processor has {listed(there, 'and')}" if there else ""
    lacks = f"{'it' if there else 'The processor'} lacks {listed(lacking, 'and')}" if lacking else ""
    return f"{sentence} {'; '.join(part for part in (has, lacks) if part)}."


def listed(words: list[str], last: str) -> str:
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


class StatusTable(Directive):
    has_content = False

    def run(self):
        env = self.state.document.settings.env
        root = Path(env.srcdir)
        book, measured = chapters.read(root), status.read(root)
        for path in (root / "data/status.json", *(chapter.path for chapter in book)):
            env.note_dependency(str(path))
        lanes = {name: title for name, title in LANES.items() if name in measured.get("lanes", {})}
        titles = ["Chapter", *(title for _, title, _ in COLUMNS), *lanes.values()]
        group = nodes.tgroup(cols=len(titles))
        group += [nodes.colspec(colwidth=3), *(nodes.colspec(colwidth=1) for _ in titles[1:])]
        group += nodes.thead("", nodes.row("", *(cell(title) for title in titles)))
        body = nodes.tbody()
        for chapter in book:
            figures = measured["chapters"].get(chapter.path.stem, {})
            texts = [form(figures[key]) if key in figures else "not measured" for key, _, form in COLUMNS]
            seconds = [measured["lanes"][lane].get(chapter.path.stem) for lane in lanes]
            texts += ["not measured" if value is None else f"{value:.0f} s" for value in seconds]
            body += nodes.row("", cell(link(chapter)), *(cell(text) for text in texts))
        group += body
        note = nodes.paragraph(
            text=about(measured["machine"], {figures["cores"] for figures in measured["chapters"].values()}),
            classes=["status-machine"],
        )
        return [nodes.table("", group, classes=["status-table"]), note]


def setup(app):
    app.add_directive("status-table", StatusTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
