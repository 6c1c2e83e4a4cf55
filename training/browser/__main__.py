"""Make what the labs of the site need, from the shipped models and the embedder.

python -m training.browser            # all of it
python -m training.browser graphs     # the graphs alone (needs requirements.txt of this folder)
python -m training.browser example    # the picture made beforehand, and the known words
python -m training.browser sentences  # the sentences that the search lab shows at first
python -m training.browser text       # the text and the distribution made beforehand
"""

import sys

from bookkit.errors import BookError
from training import recipe
from training.browser import embedder, example, graphs, sentences, text_example

PARTS = ("graphs", "example", "sentences", "text")


def main() -> None:
    asked = sys.argv[1:] or PARTS
    if wrong := set(asked) - set(PARTS):
        raise BookError(f"{', '.join(sorted(wrong))} is no part of this recipe: name {' or '.join(PARTS)}.")
    if "graphs" in asked:
        pictures = graphs.write(example.MODEL, example.ROOT / "data/labs/pictures")
        search = embedder.write(example.ROOT / "data/labs/search")
        for name, graph in (pictures["graphs"] | search["graphs"]).items():
            print(f"{name}: {graph['bytes']:,} bytes of graph, {graph['weights']['bytes']:,} of weights")
    if "example" in asked:
        print(example.write(example.MODEL))
    if "sentences" in asked:
        print(sentences.write())
    if "text" in asked:
        print(text_example.write(text_example.MODEL))


if __name__ == "__main__":
    sys.exit(recipe.command("training.browser", main))
