"""A small stand-in of the model hub's HTTP interface on the loopback address, for the tests of the hub path.

It answers what ``huggingface_hub`` asks: the description of a repository, its file tree, and its files by
revision, with byte ranges. It can cut every transfer off, and it keeps a record of what was asked.
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class Hub:
    """A hub with one repository; use it as a context manager.

    Args:
        repository: its id, such as "openai-community/gpt2".
        commits: the files of each commit, by the commit's 40 hexadecimal digits.
        main: the commit that the branch ``main`` points to.

    Attributes:
        url: where it listens, for HF_ENDPOINT.
        asked: "METHOD path" of every request so far.
        cut_at: if set, no answer carries more bytes than this, whatever length it announced.
    """

    def __init__(self, repository: str, commits: dict[str, dict[str, bytes]], main: str):
        self.repository, self.commits, self.main = repository, commits, main
        self.asked: list[str] = []
        self.cut_at: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Hub":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    def files_asked(self) -> set[tuple[str, str]]:
        """The (revision, file) pairs that were requested."""
        found = (re.search(r"/resolve/([^/]+)/(.+)", line) for line in self.asked)
        return {(match[1], match[2]) for match in found if match}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        name = re.escape(self.hub.repository)
        if match := re.fullmatch(rf"/{name}/resolve/([^/]+)/(.+)", path):
            self._file(match[1], match[2])
        elif match := re.fullmatch(rf"/api/models/{name}/tree/([^/]+)(/.+)?", path):
            self._tree(match[1], (match[2] or "").strip("/"))
        elif match := re.fullmatch(rf"/api/models/{name}(?:/revision/([^/]+))?", path):
            self._description(match[1] or "main")
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _commit(self, revision: str) -> str | None:
        commit = self.hub.main if revision == "main" else revision
        if commit not in self.hub.commits:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return None
        return commit

    def _description(self, revision: str) -> None:
        if commit := self._commit(revision):
            siblings = [{"rfilename": name} for name in self.hub.commits[commit]]
            self._json({"id": self.hub.repository, "sha": commit, "siblings": siblings, "tags": []})

    def _tree(self, revision: str, folder: str) -> None:
        if not (commit := self._commit(revision)):
            return
        inside = {name: body for name, body in self.hub.commits[commit].items() if name.startswith(folder)}
        if not inside:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        described = [
            {"type": "file", "path": name, "size": len(body), "oid": _etag(body)} for name, body in inside.items()
        ]
        self._json(described)

    def _file(self, revision: str, name: str) -> None:
        if not (commit := self._commit(revision)):
            return
        content = self.hub.commits[commit].get(name)
        if content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_etag(content)}"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and 0 < (start := int(asked[1])) < len(content):
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], headers)
        else:
            self._send(200, content, headers)

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: self.hub.cut_at])
            if self.hub.cut_at is not None and len(body) > self.hub.cut_at:
                self.close_connection = True

    def log_message(self, *_) -> None:
        pass


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
