"""Write the picture at the top of each chapter from the run that drew it.

    python tools/openings.py

The figure of the cell tagged `opening-picture` in the executed chapter becomes
book/_static/openings/NAME.svg on the book's paper, and NAME-dark.svg for the dark theme;
the page shows the one that fits. Their colours are those of book/_static/book.css.
"""

import re
from pathlib import Path

from bookkit import files, notebooks

ROOT = Path(__file__).resolve().parent.parent
TAG = "opening-picture"


def palettes(css: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the light and the dark value of every `--book-…` colour of a style sheet."""
    light, dark = {}, {}
    for name, value in re.findall(r"(--book-[\w-]+):\s*(#[0-9a-fA-F]{6})", css):
        (dark if name in light else light).setdefault(name, value)
    return light, light | dark


def standalone(svg: str, colours: dict[str, str]) -> str:
    """Return an inline figure as an SVG file: variables replaced by colours, paper laid under it."""
    svg = svg.replace("var(--book-sans, sans-serif)", "sans-serif")
    svg = re.sub(r"var\((--book-[\w-]+), (?:[^()]|\([^()]*\))+\)", lambda match: colours[match[1]], svg)
    opening = re.match(r"<svg\b[^>]*>", svg).group()
    paper = f'<rect width="100%" height="100%" fill="{colours["--book-paper"]}"/>'
    return svg.replace(opening, re.sub(r' style="[^"]*"', "", opening) + paper, 1) + "\n"


def main() -> None:
    light, dark = palettes((ROOT / "book/_static/book.css").read_text(encoding="utf-8"))
    for path in notebooks.chapters(ROOT):
        for cell in notebooks.read(ROOT / "_build/executed" / path.name).cells:
            if TAG in notebooks.tags(cell):
                html = "".join(output["data"]["text/html"] for output in cell.outputs if "data" in output)
                svg = re.search(r"<svg.*</svg>", html, re.DOTALL).group()
                for suffix, colours in (("", light), ("-dark", dark)):
                    target = ROOT / "book/_static/openings" / f"{path.stem}{suffix}.svg"
                    files.write_text(target, standalone(svg, colours))
                    print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
