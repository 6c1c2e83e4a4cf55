"""The PDF among chapter 14's sample documents, `data/documents/house_rules.pdf`: two pages of plain text.

    python training/workshop_documents.py

The file is written by hand, object by object, so that the same text gives the same bytes and no library is needed.
"""

import textwrap

from bookkit import files, paths

PAGES = (
    """Ferry Lane Workshop: house rules

The workshop belongs to its members. Whoever uses it leaves it as tidy as it was. The last one to leave turns the
main switch beside the door to zero and writes the time into the red book.

Keys. A key costs a deposit of 40 euros. Keys are not lent to anybody, not even to another member. Whoever loses one
tells Odile at once, since the lock must then be changed.

Guests. A member may bring two guests at a time. Guests use hand tools only, and their host stays in the room.""",
    """Ferry Lane Workshop: machines

Band saw. Only members with the yellow card may use it. The card is given after an evening with Tomasz, on the first
Monday of each month.

Laser cutter. Never leave it while it runs. Vinyl and other plastics that contain chlorine are forbidden, because
their smoke eats the lenses. An hour costs 6 euros, and the money goes into the blue tin.

3D printer. Prints of more than four hours begin in the evening, so that others can use the day. Failed prints go
into the box for recycling, sorted by material.""",
)


def pdf(pages: tuple[str, ...] = PAGES) -> bytes:
    """A PDF of A4 pages, set in Helvetica."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, text in enumerate(pages):
        lines = "\n".join(textwrap.fill(part, 80) + "\n" for part in text.split("\n\n")).split("\n")
        shown = "\n".join("({}) Tj T*".format(line.replace("(", r"\(").replace(")", r"\)")) for line in lines)
        stream = f"BT /F1 11 Tf 16 TL 72 770 Td\n{shown}\nET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    out, starts = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        starts.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{start:010} 00000 n \n" for start in starts)
    size = len(objects) + 1
    out += f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return f"{out}startxref\n{out.index('xref')}\n%%EOF\n".encode("latin-1")


def main() -> None:
    path = paths.root() / "data" / "documents" / "house_rules.pdf"
    files.write_bytes(path, pdf())
    print(path.relative_to(paths.root()))


if __name__ == "__main__":
    main()
