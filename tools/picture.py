"""Take README's picture, .github/page.png, of the built site: chapter 2's viewer, with one piece selected.

    python tools/picture.py

Without a Chromium browser the picture stays as it is.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "_build/html/notebooks/02_tokenization.html"
PICTURE = ROOT / ".github/page.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SHOWN = "14 tokens"  # README's description of the picture says fourteen
SELECTED = "SolidGoldMagikarp"
COLOURED = """() => {
    const pen = new OffscreenCanvas(20, 20).getContext("2d");
    pen.fillText("🍓", 2, 15);
    return pen.getImageData(0, 0, 20, 20).data.some((value, i, all) => i % 4 == 0 && value != all[i + 1]);
}"""
"""Whether a font draws the emoji; an empty box is black."""


def main() -> None:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        print(f"picture: no Chromium here, so {PICTURE.relative_to(ROOT)} stays as it is")
        return
    if not PAGE.is_file():
        sys.exit("picture: the site is not built yet: run 'make book' first.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light", reduced_motion="reduce")
        page.goto(PAGE.as_uri())
        if not page.evaluate(COLOURED):
            sys.exit("picture: no font here has emoji: install one, such as Debian's fonts-noto-color-emoji.")
        page.evaluate("document.fonts.ready")
        page.get_by_role("option", name=SELECTED).first.click()
        if not page.get_by_text(SHOWN).first.is_visible():
            sys.exit(
                f"picture: the page does not show {SHOWN!r}: change README's words about its picture, and this tool."
            )
        page.locator("#see-it").evaluate("section => window.scrollTo(0, section.offsetTop - 60)")
        page.screenshot(path=PICTURE)
        chromium.close()
    print(f"picture: {PICTURE.relative_to(ROOT)}, {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
