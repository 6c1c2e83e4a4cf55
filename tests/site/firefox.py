"""Firefox, headless, spoken to in WebDriver BiDi (https://w3c.github.io/webdriver-bidi/).

Playwright drives only builds of Firefox of its own, which no package archive has; the standard protocol drives any.
"""

import itertools
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import websocket
from harness import unavailable

NAMES = ("firefox-esr", "firefox")
SECONDS = 240
"""The longest wait for an answer."""
PREFERENCES = {
    # No other host is reached: everything but the loopback address goes through a proxy that is not there.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.share_proxy_settings": True,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
}


class Firefox:
    """One running Firefox with one open page."""

    def __init__(self, profile: Path):
        """Start it.

        Args:
            profile: an empty folder for its settings and its cache.
        """
        executable = next((path for name in NAMES if (path := shutil.which(name))), None)
        if executable is None:
            unavailable(f"no Firefox found (looked for {', '.join(NAMES)}): install one for these tests")
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")
        command = [executable, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        told = profile / "stderr.txt"  # not a pipe, which would fill up
        with told.open("w", encoding="utf-8") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr, stdout=subprocess.DEVNULL)
        while not (found := re.search(r"WebDriver BiDi listening on (ws://\S+)", said := told.read_text("utf-8"))):
            if self.process.poll() is not None:
                unavailable(f"Firefox ended at once: {said[-300:]}")
            time.sleep(0.1)
        self.numbers, self.problems = itertools.count(), []
        # No Origin: Firefox refuses those of pages.
        self.socket = websocket.create_connection(f"{found[1]}/session", suppress_origin=True, timeout=SECONDS)
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded"])
        self.page = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method: str, **params) -> dict:
        """Send a command, note errors that pages log meanwhile, and return the command's result."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer["type"] == "event":
                if answer["params"].get("level") == "error":
                    self.problems.append(answer["params"]["text"])
            elif answer.get("id") == number:
                if answer["type"] == "error":
                    raise RuntimeError(f"{method}: {answer['error']}: {answer['message']}")
                return answer["result"]

    def goto(self, url: str) -> None:
        """Open an address and wait until the page has loaded."""
        self.ask("browsingContext.navigate", context=self.page, url=url, wait="complete")

    def evaluate(self, function: str, value=None):
        """Call a JavaScript function of one argument in the page; return what it, or its promise, comes to."""
        call = f"(async () => JSON.stringify(await ({function})({json.dumps(value)})))()"
        found = self.ask("script.evaluate", expression=call, target={"context": self.page}, awaitPromise=True)
        if found["type"] == "exception":
            raise RuntimeError(found["exceptionDetails"]["text"])
        return json.loads(found["result"]["value"]) if found["result"]["type"] == "string" else None

    def close(self) -> None:
        """End it, and whatever it started."""
        self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
