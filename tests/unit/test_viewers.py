"""What holds of every viewer, asked of the samples in tests/viewer_samples.py: text stays text, names stay apart."""

import re

import pytest
from markup import Elements
from viewer_samples import SAMPLES

from bookkit.viewers import fragment

HOSTILE = (
    "</script><script>window.pwned=1</script><img src=x onerror=pwned()> <!-- ]]> </style> \u2028 \x00 \ud800 \" ' `"
)
FORBIDDEN = (
    "://",
    "@import",
    "url(",
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "new Function",
    "fetch(",
    "import(",
)

every_viewer = pytest.mark.parametrize("name", SAMPLES)


def selected(name: str) -> set[str]:
    """The classes that a viewer's style names, apart from those that all viewers share."""
    css = fragment.source(name, "css")
    shared = (fragment.FOLDER / "shared.css").read_text(encoding="utf-8")
    classes = r"\.(-?[a-zA-Z_][\w-]*)"
    return set(re.findall(classes, css)) - set(re.findall(classes, shared)) - {"bookkit-viewer"}


def test_every_viewer_has_a_sample():
    assert {path.parent.name for path in fragment.FOLDER.glob("*/viewer.js")} == set(SAMPLES)


@every_viewer
def test_a_viewer_s_classes_begin_with_its_name(name):
    own = fragment.prefix(name)
    foreign = {one for one in selected(name) if one != own and not one.startswith(f"{own}-")}
    assert not foreign, f"{name}/viewer.css styles {sorted(foreign)}: write bk-NAME, or move the rule to shared.css"
    markup = SAMPLES[name].markup()
    used = {one for value in re.findall(r'class="([^"]*)"', markup) for one in value.split()}
    known = ("bookkit-", "bkv", "mathjax_ignore", "tex2jax_ignore")
    foreign = {one for one in used if one != own and not one.startswith((f"{own}-", *known))}
    assert not foreign, f"the static picture of {name} has the classes {sorted(foreign)}"
    assert "bk-NAME" not in markup


def test_no_two_viewers_share_a_class_or_an_animation():
    owner = {}
    for name in SAMPLES:
        animations = set(re.findall(r"@keyframes ([\w-]+)", fragment.source(name, "css")))
        for one in selected(name) | animations:
            assert owner.setdefault(one, name) == name, f"{one} belongs to {owner[one]} and to {name}"


@every_viewer
def test_hostile_text_stays_text(name):
    texts = [HOSTILE, f"two {HOSTILE}", f"three {HOSTILE}"]
    plain = Elements(SAMPLES[name].hostile([f"{word} \u2028 \x00 \ud800" for word in ("one", "two", "three")]))
    harmed = Elements(SAMPLES[name].hostile(texts))
    assert set(harmed.found) == set(plain.found) and harmed.found.count("script") == 1 and not harmed.open
    assert {key for key, _ in harmed.attributes} == {key for key, _ in plain.attributes}
    assert not [key for key, _ in harmed.attributes if key.startswith("on")]
    assert any("</script><script>window.pwned=1</script><img src=x" in words for words in harmed.words)
    labels = [value for key, value in harmed.attributes if key == "aria-label"]
    assert any(label.startswith("</script><script>window.pwned=1</script><img src=x") for label in labels)


@every_viewer
def test_a_fragment_is_small_and_asks_for_nothing_from_elsewhere(name):
    markup = SAMPLES[name].markup()
    assert len(markup.encode("utf-8")) < fragment.LIMIT
    # Long runs of base64 are data; the name of SVG is no address.
    code = re.sub(r'"blob":"[^"]*"|base64,[\w+/=]+|"http://www.w3.org/2000/svg"', "", markup)
    assert not [word for word in FORBIDDEN if word in code]
    assert all(value.startswith("data:") for key, value in Elements(markup).attributes if key in ("src", "href"))


@every_viewer
def test_each_fragment_has_its_own_id(name):
    markups = [SAMPLES[name].markup() for _ in range(2)]
    ids = [dict(Elements(markup).attributes)["data-bookkit"] for markup in markups]
    assert ids[0] != ids[1] and all(one.startswith(f"bookkit-{name}-") for one in ids)
    # The element's id, what its script looks for, and where the script says so.
    assert all(markup.count(one) == 3 for markup, one in zip(markups, ids, strict=True))
