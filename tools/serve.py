"""Serve the built site on the loopback address."""

import errno
import functools
import http.server
import re
import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent.parent / "_build/html"
LAST = 65535  # port


def port_of(word: str) -> int:
    """The port that a word names, or one sentence and the end where it names none."""
    if not re.fullmatch("[0-9]{1,5}", word) or not 1 <= int(word) <= LAST:
        sys.exit(f"serve: {word!r} is no port: give a number from 1 to {LAST}, as in 'make serve PORT=8080'.")
    return int(word)


def main() -> None:
    port = port_of(sys.argv[1] if len(sys.argv) > 1 else "8000")
    if not (SITE / "index.html").exists():
        sys.exit("serve: the site is not built yet: run 'make book' first.")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=SITE)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
        other = port + 1 if 1024 <= port < LAST else 8000  # those below 1024 belong to the system
        sys.exit(f"serve: port {port} {why}: run 'make serve PORT={other}'.")
    print(f"The book is at http://localhost:{port} (Ctrl+C ends).", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
