"""Make what the labs of the site need, from the shipped models.

python -m training.browser            # all of it
python -m training.browser graphs     # the graphs alone (needs requirements.txt of this folder)
python -m training.browser example    # the picture made beforehand, and the known words
python -m training.browser text       # the text and the distribution made beforehand
"""

import sys

from bookkit.errors import BookError
from training import recipe
from training.browser import example, graphs, text_example

PARTS = ("graphs", "example", "text")


def main() -> None:
    asked = sys.argv[1:] or PARTS
    if wrong := set(asked) - set(PARTS):
        raise BookError(f"{', '.join(sorted(wrong))} is no part of this recipe: name {' or '.join(PARTS)}.")
    if "graphs" in asked:
        target = example.ROOT / "data/labs/pictures"
        for name, graph in graphs.write(example.MODEL, target)["graphs"].items():
            print(f"{name}: {graph['bytes']:,} bytes of graph, {graph['weights']['bytes']:,} of weights")
    if "example" in asked:
        print(example.write(example.MODEL))
    if "text" in asked:
        print(text_example.write(text_example.MODEL))


if __name__ == "__main__":
    sys.exit(recipe.command("training.browser", main))
