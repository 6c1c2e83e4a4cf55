"""What the search lab shows before a model is loaded: twelve sentences and their vectors, made beforehand.

    python -m training.browser sentences

Writes book/_static/lab/search/example.json: the sentences, and their vectors as eight bits (as bookkit.ask.browser
stores those of the book), with the sha256 of the graph that made them.
"""

import base64
import json

from bookkit import eight_bits, files, paths
from bookkit.ask import browser

ROOT = paths.root()
SHOWN = ROOT / "book/_static/lab/search"
SENTENCES = [
    "The bank raised its interest rates again.",
    "We sat on the bank of the river and fished.",
    "Borrowing money has become more expensive.",
    "A trout jumped out of the water.",
    "The doctor told her to rest for a week.",
    "She was sent home by the physician to recover.",
    "I really enjoyed the film.",
    "I did not enjoy the film at all.",
    "The movie was a waste of time.",
    "The cat is asleep on the sofa.",
    "A kitten naps on the couch.",
    "My laptop will not start any more.",
]
"""The first is the one that the others are compared with."""


def write() -> str:
    """Make the file; say what was made."""
    encoder = browser.Encoder(ROOT)
    whole, scale = eight_bits.rows(encoder(SENTENCES))
    packed = base64.b64encode(scale.tobytes() + whole.tobytes()).decode()
    record = {"graph": encoder.record["sha256"], "sentences": SENTENCES, "vectors": packed}
    files.write_text(SHOWN / "example.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return f"{len(SENTENCES)} sentences and their vectors"
