"""bookkit.ask.documents: a reader's own documents, whole and broken."""

import json
import time

import pytest

from bookkit.ask import documents
from bookkit.errors import BookError

HTML = """<!doctype html><html><head><title>The  pool</title><style>p {color: red}</style></head><body>
<nav>Home | Prices</nav><p>Above all.</p>
<h1 id="hours">Opening <em>hours</em></h1><p>Nine to&nbsp;five,<br>not on <b>Mon</b>days.</p>
<script>alert("no")</script>
<section id="prices"><h2>Prices &amp; cards</h2><ul><li>Adults: 4 €</li><li>Children: 2 €</li></ul>
<!-- 3 € in May --></section>
<h1>Rules</h1><table><tr><td>Run</td><td>never</td></tr></table></body></html>"""


def pdf(path, *texts, password=None):
    """A PDF with a page for each text, written by hand: no library of ours writes text into a PDF."""
    from pypdf import PdfReader, PdfWriter

    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for text in texts:
        stream = f"BT /F1 24 Tf 72 700 Td ({text}) Tj ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        content = len(objects)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {content} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    written, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(written))
        written += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    start = len(written)
    written += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    written += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    path.write_text(written, encoding="latin-1")
    if password:
        writer = PdfWriter(clone_from=PdfReader(path))
        writer.encrypt(password, algorithm="RC4-128")
        writer.write(path)
    return path


def told(found):
    return [(section.trail, section.anchor, section.text()) for section in found]


def test_a_pdf_is_cut_at_its_pages(tmp_path):
    found = documents.read(pdf(tmp_path / "leaflet.pdf", "Nine to five", "", "Closed on Mondays"))
    assert told(found) == [
        (("leaflet", "page 1"), "page=1", "Nine to five"),
        (("leaflet", "page 3"), "page=3", "Closed on Mondays"),
    ]


def test_html_is_cut_at_its_headings_and_shows_what_a_reader_sees(tmp_path):
    (tmp_path / "pool.html").write_text(HTML)
    assert told(documents.read(tmp_path / "pool.html")) == [
        (("The pool",), "", "Above all."),
        (("The pool", "Opening hours"), "hours", "Nine to five,\nnot on Mondays."),
        (("The pool", "Opening hours", "Prices & cards"), "prices", "Adults: 4 €\nChildren: 2 €"),
        (("The pool", "Rules"), "", "Run\nnever"),
    ]


@pytest.mark.parametrize(
    ("head", "title"), [("<title>The pool</title>", "The pool"), ("", "page"), ("<title> </title>", "page")]
)
def test_a_title_inside_a_drawing_is_not_the_page_s(tmp_path, head, title):
    drawing = "<svg><title>An arrow</title><g><title>its tip</title></g></svg>"
    for markup in (f"{head}{drawing}<p>Words</p>", f"{drawing}{head}<p>Words</p>"):
        (tmp_path / "page.html").write_text(markup)
        assert [section.trail for section in documents.read(tmp_path / "page.html")] == [(title,)]


def test_text_lines_markdown_and_notebooks(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffOne.\n\nTwo.\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"title": "T", "text": "x"}\n\n{"text": "y"}\n')
    (tmp_path / "c.md").write_text("# Cats\n\nThey *sleep*.\n\n## Food\n\nFish.\n")
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Dogs\n\nThey bark."}]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "d.ipynb").write_text(json.dumps(notebook))
    (tmp_path / "picture.png").write_bytes(b"not read")
    assert told(documents.corpus([tmp_path])) == [
        (("a",), "", "One.\n\nTwo."),
        (("T",), "line-1", "x"),
        (("line 3",), "line-3", "y"),
        (("Cats",), "cats", "They sleep."),
        (("Cats", "Food"), "food", "Fish."),
        (("Dogs",), "dogs", "They bark."),
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.docx", b"x", "of a kind that cannot be read here: give .pdf, .html"),
        ("a.pdf", b"%PDF-1.4\ncut off", "a.pdf is no PDF that can be read"),
        ("a.pdf", b"", "a.pdf is no PDF that can be read"),
        ("a.txt", b" \n", "a.txt holds no text: if it is a scan"),
        ("a.txt", b"\xff\xfe\x00", "a.txt is not UTF-8 text"),
        ("a.html", b"<html><head><title>t</title></head><script>x</script></html>", "a.html holds no text"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "y"', 'Line 2 of a.jsonl is no JSON object with a "text"'),
        ("a.jsonl", b'{"text": "x"}\n["y"]', "Line 2 of a.jsonl is no JSON object"),
        ("a.jsonl", b'{"title": "x"}', "Line 1 of a.jsonl is no JSON object"),
        ("a.jsonl", b'{"text": 3}', "Line 1 of a.jsonl has a title or a text that is no text"),
        ("a.ipynb", b"{}", "a.ipynb"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BookError, match=said) as caught:
        documents.read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_page_that_is_a_picture_and_a_locked_pdf_are_refused(tmp_path):
    with pytest.raises(BookError, match=r"scan\.pdf holds no text: if it is a scan, have its letters recognised"):
        documents.read(pdf(tmp_path / "scan.pdf", "", ""))
    with pytest.raises(BookError, match=r"secret\.pdf is locked by a password: save a copy without one"):
        documents.read(pdf(tmp_path / "secret.pdf", "Nine to five", password="pool"))


def test_a_damaged_pdf_is_never_read_in_part(tmp_path):
    whole = pdf(tmp_path / "whole.pdf", *["Nine to five"] * 3).read_bytes()
    for share in (0.2, 0.5, 0.8):
        (tmp_path / "cut.pdf").write_bytes(whole[: int(share * len(whole))])
        try:
            found = documents.read(tmp_path / "cut.pdf")
        except BookError:
            continue
        assert [text for _, _, text in told(found)] == ["Nine to five"] * 3


def test_a_folder_as_it_is_on_a_disk(tmp_path):
    """Hidden files, a checkpoint, a folder named like a page, capitals, equal names, and files that cannot be read."""
    said = []
    contents = {
        "a.TXT": b"Capitals.",
        "notes/index.HTM": b"<h1>Notes</h1><p>One.",
        "more/index.HTM": b"<h1>More</h1><p>Two.",
        "._notes.txt": b"\x00\x05\x16\x07\xff",
        ".git/description.txt": b"hidden",
        "sub/.ipynb_checkpoints/b-checkpoint.md": b"# Twice",
        "sub/b.Md": b"\xef\xbb\xbf# Once\n\nText.",
        "sub/empty.txt": b"",
        "sub/latin.txt": "é".encode("latin-1"),
        "cut.pdf": b"%PDF-1.4 cut",
        "folder.md/inside.txt": b"Inside.",
        "picture.png": b"\x89PNG",
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = documents.corpus([tmp_path], said.append)
    assert [(section.document, section.text()) for section in found] == [
        ("a.TXT", "Capitals."),
        ("folder.md/inside.txt", "Inside."),
        ("more/index.HTM", "Two."),
        ("notes/index.HTM", "One."),
        ("sub/b.Md", "Text."),
    ]
    assert [line.split(" ")[2] for line in said] == ["cut.pdf", "empty.txt", "latin.txt"]
    assert all(line.startswith("Left out: ") and line.endswith(".") for line in said)
    with pytest.raises(BookError, match="latin.txt is not UTF-8"):  # named itself
        documents.corpus([tmp_path, tmp_path / "sub" / "latin.txt"], said.append)


def test_characters_that_databases_refuse_are_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"nul \x00 byte")
    (tmp_path / "b.jsonl").write_text(
        '{"title": "half \\udfff", "text": "line\u2028end \\u0000 \\ud83d"}\n', encoding="utf-8"
    )
    (tmp_path / "c.md").write_bytes(b"\x00123\x00`\x0045`" * 50)
    (tmp_path / "d.html").write_text("<p id='x'>&#xd800; &#0; x\0")
    texts = {section.document: section for section in documents.corpus([tmp_path])}
    assert texts["a.txt"].text() == "nul � byte"
    assert texts["b.jsonl"].title == "half �" and texts["b.jsonl"].text() == "line\u2028end � �"
    assert texts["c.md"].text() == "�123��45" * 50
    for section in texts.values():
        "".join([*section.trail, section.text()]).encode("utf-8")
        assert "\0" not in section.text()


def test_words_that_a_pdf_cuts_or_joins_are_whole(tmp_path):
    pages = [
        "An o\ufb03ce for well-known wa\ufb04es: 5 m\u00b2",
        "It is per-\n mitted, though well-\nknown,",
        "on 3-\n4 May, for A-\nBC\u00ad",
    ]
    assert documents._mended(pages) == [
        "An office for well-known waffles: 5 m²",
        "It is permitted, though well-known,",
        "on 3-\n4 May, for A-\nBC",
    ]


def test_a_page_without_blanks_takes_no_longer():
    clock = time.process_time()
    assert documents._mended(["x" * 200_000, "y" * 200_000 + "-\nz"]) == ["x" * 200_000, "y" * 200_000 + "z"]
    assert time.process_time() - clock < 5


def columns(path, order):
    """A PDF of two columns with three lines each, drawn in some order."""
    from pypdf import PdfReader

    lines = [
        f"BT /F1 12 Tf {72 + 250 * (name[0] == 'R')} {700 - 20 * int(name[1])} Td ({name}) Tj ET" for name in order
    ]
    pdf(path, ") Tj ET " + " ".join(lines) + " BT (")
    return PdfReader(path) and path


def test_two_columns_are_read_as_they_are_drawn(tmp_path):
    """What the reader's docstring says was measured like this; a mixture is no fault that the text shows."""
    by_column = ["L1", "L2", "L3", "R1", "R2", "R3"]
    by_line = ["L1", "R1", "L2", "R2", "L3", "R3"]
    for order in (by_column, by_line):
        (page,) = documents.read(columns(tmp_path / "two.pdf", order))
        assert page.text().split() == order


def test_an_empty_corpus_and_a_missing_document_are_told(tmp_path):
    with pytest.raises(BookError, match="There is nothing to read: give at least one document"):
        documents.corpus([tmp_path])
    with pytest.raises(BookError, match="There is no document .*missing.pdf"):
        documents.corpus([tmp_path / "missing.pdf"])
