"""Where the book is published: written once in ``_config.yml``, copied from there wherever it stands.

The Colab cell of every chapter, the README, the citation file and the launch links need the address of the
repository, and some of them that of the published pages. ``python -m bookkit address URL`` changes them all.
"""

import re
from pathlib import Path
from urllib.parse import quote, urlsplit

from bookkit.errors import BookError
from bookkit.files import write_all

PLACES = (
    "_config.yml",
    "README.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
    "environment.yml",
    "pyproject.toml",
    "book/**/*.md",
    "notebooks/*.ipynb",
)
"""The files that may hold the address, as patterns below the root."""

PLACEHOLDER = "/OWNER/"
"""What stands in the repository's address until it has one."""

_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~-]+)*")
# What stands after a repository in the addresses of its pages, on GitHub, GitLab, Gitea and Bitbucket.
_INSIDE = frozenset("- blob branch commit commits issues pull pulls raw releases settings src tree wiki".split())
_END = r"(?![A-Za-z0-9_~-])"
# Services whose links hold OWNER/REPOSITORY in the middle.
_LAUNCHERS = r"(colab\.research\.google\.com/github/|mybinder\.org/v2/gh/)"


def read(root: Path) -> tuple[str, str]:
    """The address of the repository and that of the published pages ("" while unknown), from ``_config.yml``.

    Raises:
        BookError: the configuration cannot be read, or names no repository.
    """
    import yaml

    try:
        config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
        return config["repository"]["url"], (config.get("html") or {}).get("baseurl") or ""
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BookError(f"{root / '_config.yml'} names no repository.url: add it.") from error


def unpublished(root: Path) -> str | None:
    """What to say while the book has no address of its own: its pages bear no launch buttons and no links to it.

    Args:
        root: the repository.

    Returns:
        One sentence with the command that changes that; None once it has been run.

    Raises:
        BookError: as `read`.
    """
    if PLACEHOLDER not in read(root)[0]:
        return None
    return (
        "The pages have no launch buttons and no links to the repository, since its public address is not known "
        "yet: run .venv/bin/python -m bookkit address https://github.com/YOU/REPOSITORY."
    )


def write(root: Path, url: str, pages: str | None = None) -> list[Path]:
    """Put a new address wherever the old one stands; either every file changes or none does.

    Args:
        root: the repository.
        url: the address of the published repository, such as https://github.com/OWNER/REPOSITORY.
        pages: the address of the published pages; None leaves it as it is.

    Returns:
        The files that changed, below the root.

    Raises:
        BookError: an address is malformed, or a file cannot be read or written.
    """
    old_url, old_pages = read(root)
    url = _repository(url)
    pages = old_pages if pages is None else _site(pages)

    changed: dict[Path, bytes] = {}
    for path in sorted({path for pattern in PLACES for path in root.glob(pattern)}):
        try:
            text = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BookError(f"{path.relative_to(root)} cannot be read as UTF-8: mend it first.") from error
        new = _launched(_replaced(text, old_url, url), old_url, url)
        if old_pages:
            new = _replaced(new, old_pages, pages)
        if path.suffix == ".ipynb":  # the Colab cell, whatever stood there
            new = re.sub(r"""(\bREPOSITORY *= *\\?["'])[^"'\\]*""", rf"\g<1>{url}", new)
            new = re.sub(r"""(\bPAGES *= *\\?["'])[^"'\\]*""", rf"\g<1>{pages}", new)
        if path.name == "_config.yml":
            new = _set(new, "html", "baseurl", pages)
        if new != text:
            changed[path] = new.encode()
    write_all(changed)
    return [path.relative_to(root) for path in changed]


def _repository(url: str) -> str:
    """The address of a repository: OWNER/REPOSITORY on a host, with groups above it where the host has them."""
    example = "https://github.com/OWNER/REPOSITORY"
    clean = _checked(url, example)
    host, names = urlsplit(clean).hostname, urlsplit(clean).path.split("/")[1:]
    most = 2 if host in ("github.com", "www.github.com") else len(names)
    if not 2 <= len(names) <= most or _INSIDE.intersection(names[2:]):
        raise BookError(f'"{url}" is not the address of a repository itself: write it like {example}.')
    return clean


def _site(url: str) -> str:
    """The address below which the published pages stand."""
    example = "https://OWNER.github.io/REPOSITORY"
    clean = _checked(url, example)
    if re.search(r"\.html?$", clean, re.IGNORECASE):
        raise BookError(f'"{url}" is not the address of the whole site, but of a page: write it like {example}.')
    return clean


def _checked(url: str, example: str) -> str:
    clean = url.rstrip("/").removesuffix(".git")
    if not _URL.fullmatch(clean):
        raise BookError(f'"{url}" is not an address that can be published: write it like {example}.')
    return clean


def _replaced(text: str, old: str, new: str) -> str:
    """The text with one address exchanged for another, never inside a longer name."""
    for before, after in ((old, new), (quote(old, safe=""), quote(new, safe=""))):
        text = re.sub(re.escape(before) + _END, lambda _, after=after: after, text)
    return text


def _launched(text: str, old: str, new: str) -> str:
    """The same for OWNER/REPOSITORY in the middle of a launch link."""
    before, after = (urlsplit(address).path.strip("/") for address in (old, new))
    return re.sub(_LAUNCHERS + re.escape(before) + _END, lambda match: match[1] + after, text)


def _set(text: str, section: str, key: str, value: str) -> str:
    """One value of ``_config.yml``, with everything around it left as it is."""
    pattern = rf'(?m)(^{section}:.*\n(?:[ #].*\n|\n)*?  {key}: *)("[^"\n]*"|[^\s#]*)'
    return re.sub(pattern, lambda match: f'{match[1]}"{value}"', text, count=1)
