"""Serve the built site on the loopback address."""

import functools
import http.server
import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent.parent / "_build/html"


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    if not (SITE / "index.html").exists():
        sys.exit("serve: the site is not built yet: run 'make book' first.")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=SITE)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        sys.exit(f"serve: port {port} is in use: run 'make serve PORT={port + 1}'.")
    print(f"The book is at http://localhost:{port} (Ctrl+C ends).")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
