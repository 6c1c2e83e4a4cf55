"""Write the picture at the top of each chapter from the run that drew it.

    python tools/openings.py

The figure of the cell tagged `opening-picture` in the executed chapter becomes
book/_static/openings/NAME.svg, on paper of its own, so that it is legible in either theme.
"""

import re
from pathlib import Path

import nbformat

from bookkit import figures, notebooks

ROOT = Path(__file__).resolve().parent.parent
PAPER = "#fbf8f1"
TAG = "opening-picture"


def standalone(svg: str) -> str:
    """Return an inline figure as an SVG file: variables replaced by their defaults, paper laid under it."""
    svg = svg.replace("var(--book-ink, currentColor)", figures.INK)
    svg = re.sub(r"var\(--[\w-]+, ((?:[^()]|\([^()]*\))+)\)", r"\1", svg)
    opening = re.match(r"<svg\b[^>]*>", svg).group()
    paper = f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>'
    return svg.replace(opening, re.sub(r' style="[^"]*"', "", opening) + paper, 1) + "\n"


def main() -> None:
    for path in notebooks.chapters(ROOT):
        executed = nbformat.read(ROOT / "_build/executed" / path.name, as_version=4)
        for cell in executed.cells:
            if TAG in cell.metadata.get("tags", []):
                html = "".join(output["data"]["text/html"] for output in cell.outputs if "data" in output)
                target = ROOT / "book/_static/openings" / f"{path.stem}.svg"
                notebooks.write_text(target, standalone(re.search(r"<svg.*</svg>", html, re.DOTALL).group()))
                print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
