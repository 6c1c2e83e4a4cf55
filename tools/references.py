"""Write ``book/references.md`` from ``book/references.bib``: one heading a key.

    python tools/references.py            # write
    python tools/references.py --check    # exit 1 where the page is not what the bibliography says

A heading's anchor is its key, so that ``../book/references.md#sennrich2016`` leads to the work on the site,
in JupyterLab and on GitHub alike.
"""

import sys
from pathlib import Path

from pybtex.database import parse_file

from bookkit.files import write_text

BOOK = Path(__file__).resolve().parents[1] / "book"
HEAD = """---
html_theme.sidebar_secondary.remove: true
---

# References

The works that the chapters cite. A citation in a chapter leads to the entry here, and the entry leads to the
work: to its DOI, to arXiv, or to the page where its authors keep it.

<!-- Made by tools/references.py from references.bib; change that file and run it again. -->
"""


def people(entry) -> str:
    names = [" ".join(p.first_names + p.middle_names + p.prelast_names + p.last_names + p.lineage_names)
             for p in entry.persons.get("author", [])]  # fmt: skip
    names = [name.replace("{", "").replace("}", "") for name in names]
    if names[-1] == "others":
        return f"{', '.join(names[:-1])} et al."
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def where(fields) -> str:
    kinds = ("booktitle", "journal", "institution", "publisher", "howpublished")
    venue = next((fields[kind] for kind in kinds if kind in fields), "")
    if venue and "volume" in fields:
        venue += f" {fields['volume']}"
        venue += f"({fields['number']})" if "number" in fields else ""
    if venue and "pages" in fields:
        venue += f", pp. {fields['pages'].replace('--', '–')}"
    return venue


def link(fields) -> str:
    if "doi" in fields:
        return f"[doi:{fields['doi']}](https://doi.org/{fields['doi']})"
    if "eprint" in fields:
        return f"[arXiv:{fields['eprint']}](https://arxiv.org/abs/{fields['eprint']})"
    if "url" in fields:
        host = fields["url"].split("/")[2].removeprefix("www.")
        return f"[{host}]({fields['url']})"
    return ""


def page() -> str:
    bibliography = parse_file(str(BOOK / "references.bib"))
    parts = [HEAD]
    for key in sorted(bibliography.entries):
        entry = bibliography.entries[key]
        fields = {name: value.replace(" -- ", " – ") for name, value in entry.fields.items()}
        year = f" ({fields['year']})" if "year" in fields else ""
        title = fields["title"].rstrip(".")
        title += "" if title.endswith("?") else "."
        tail = " ".join(f"{piece}." for piece in (where(fields), fields.get("note"), link(fields)) if piece)
        parts.append(f"## {key}\n\n{people(entry)}{year}. *{title}* {tail}\n")
    return "\n".join(parts).replace("et al.. ", "et al. ")


def main() -> int:
    target = BOOK / "references.md"
    text = page()
    if "--check" in sys.argv[1:]:
        same = target.is_file() and target.read_text(encoding="utf-8") == text
        print("references.md is up to date" if same else "references.md is stale: run tools/references.py")
        return 0 if same else 1
    write_text(target, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
