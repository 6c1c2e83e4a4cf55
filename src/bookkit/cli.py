"""The command line, ``python -m bookkit COMMAND``: each command calls one module and adds no logic."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bookkit.errors import BookError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``python -m bookkit``; those of the process where none are given.

    Returns:
        The exit code: 0, 1 after a failure that was told in one line on standard error, 130 after Ctrl-C, and 141
        where whoever reads the output has closed it, as ``head`` does.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows ? for what it cannot
    try:
        try:
            options = _parser().parse_args(arguments)
            options.run(options)
        finally:  # what lies in the buffer fails here, not when Python has ended
            if sys.stdout:
                sys.stdout.flush()
    except BookError as error:
        return _told(str(error), 1)
    except KeyboardInterrupt:
        return _told("Interrupted.", 130)
    except BrokenPipeError:
        _close_output()
        return 141
    except OSError as error:
        _close_output()
        return _told(f"{error.filename or 'The output'} cannot be read or written ({error.strerror}).", 1)
    return 0


def _told(sentence: str, code: int) -> int:
    """Print a sentence on standard error, in one line, and pass the exit code on."""
    with suppress(OSError):
        print("bookkit:", " ".join(sentence.split()), file=sys.stderr, flush=True)
    return code


def _close_output() -> None:
    """Let nothing more be written to an output that takes nothing: Python would try again at its end."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bookkit", description="The helper of the book “Generative AI, Cell by Cell”."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(run, name: str, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        added.set_defaults(run=run)
        return added

    fetch = command(_fetch, "fetch", "fetch the models of the registry into the cache, and check them")
    fetch.add_argument(
        "roles", nargs="*", metavar="ROLE", help="a role of data/models.yml (default: all that are needed)"
    )
    fetch.add_argument("--verify", action="store_true", help="compute the sha256 of what is there already")
    fetch.add_argument(
        "--from", dest="source", metavar="FILE", help="the model's own file, where it is there already (one ROLE)"
    )

    ask = command(_ask, "ask", "answer a question from the book, with the sections that the answer comes from")
    ask.add_argument("question", nargs="+", metavar="QUESTION")

    serve = command(
        _serve, "serve", "answer as an OpenAI-compatible server with the book's models, on this machine alone"
    )
    serve.add_argument("--port", type=int, default=8008, metavar="PORT", help="to listen at (default: %(default)s)")

    student = command(_student, "student", "write the student copy of a chapter")
    student.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    student.add_argument("-o", "--out", type=Path, metavar="OUT", help="where to write it: a folder, or a name.ipynb")
    student.add_argument("--handout", action="store_true", help="keep only the set-up and the exercises")

    command(_status, "status", "carry the measured times into data/status.json and wherever they are shown")
    command(_lists, "lists", "write the lists of chapters, the price labels and the set-up cells for Colab")

    address = command(_address, "address", "write the address of the published repository wherever it stands")
    address.add_argument("url", metavar="URL", help="https://github.com/OWNER/REPOSITORY")
    address.add_argument("--pages", metavar="URL", help="the address of the published pages")

    strip = command(_strip, "strip", "clean notebooks for git: outputs stay only where nbval compares them")
    strip.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK", help="(default: every chapter)")
    return parser


def _fetch(options: argparse.Namespace) -> None:
    from bookkit import fetch

    fetch.fetch(options.roles, options.verify, say=lambda line: print(line, flush=True), source=options.source)


def _ask(options: argparse.Namespace) -> None:
    from bookkit.ask import answer

    answer.ask(" ".join(options.question))


def _serve(options: argparse.Namespace) -> None:
    from bookkit import serve

    serve.serve(options.port)


def _student(options: argparse.Namespace) -> None:
    from bookkit import teaching

    print(teaching.student_copy(options.notebook, out=options.out, handout=options.handout))


def _status(options: argparse.Namespace) -> None:
    from bookkit import paths, status

    for line in status.update(paths.root()):
        print(line)
    _lists(options)


def _lists(options: argparse.Namespace) -> None:
    from bookkit import lists, paths

    for path in lists.write(paths.root()):
        print(path)


def _address(options: argparse.Namespace) -> None:
    from bookkit import address, paths

    for path in address.write(paths.root(), options.url, pages=options.pages):
        print(path)


def _strip(options: argparse.Namespace) -> None:
    from bookkit import notebooks, paths

    for path in options.notebooks or sorted((paths.root() / "notebooks").glob("*.ipynb")):
        if notebooks.strip(path):
            print(path)
