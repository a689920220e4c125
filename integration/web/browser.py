"""A headless Chromium inside a node of the lab."""

import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any

from babelwg.lab.netns.node import Node

ANSWER = 60.0  # seconds for one request
DRIVER = Path(__file__).with_name("page.mjs")


class BrowserError(Exception):
    """The browser could not do what it was asked."""


class Browser:
    """One tab of a browser in a node; it sees what that node sees, and nothing else."""

    def __init__(self, node: Node, chromium: str, playwright: Path, shots: Path) -> None:
        self.shots = shots
        environment = os.environ | {"CHROMIUM": chromium, "PLAYWRIGHT_AT": str(playwright)}
        self._driver = node.popen(
            "node", str(DRIVER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )

    def open(self, url: str, **options: Any) -> int:
        """Open a new tab; return the status of what was opened."""
        return int(self._ask("open", url=url, **options))

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, or of the promise that it gives."""
        return self._ask("evaluate", expression=expression)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        self._ask("press", keys=keys)

    def type(self, text: str) -> None:
        """Type a text."""
        self._ask("type", text=text)

    def click(self, selector: str) -> None:
        """Click on an element that can be seen."""
        self._ask("click", selector=selector)

    def shot(self, name: str, full: bool = False) -> Path:
        """Take a picture of the screen, or of the whole page."""
        path = self.shots / f"{name}.png"
        self._ask("shot", path=str(path), full=full)
        return path

    def serve(self, body: str) -> int:
        """Serve a document of somebody else on the node's loopback interface; return its port."""
        return int(self._ask("serve", body=body))

    def complaints(self) -> list[str]:
        """Return what the browser complained of since the tab was opened."""
        return list(self._ask("complaints"))

    def close(self) -> None:
        """End the browser."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.close()
        self._driver.wait(ANSWER)
        self._driver.stdout.close()

    def _ask(self, request: str, **options: Any) -> Any:
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps({"request": request, **options}) + "\n")
        self._driver.stdin.flush()
        ready, _, _ = select.select([self._driver.stdout], [], [], ANSWER)
        line = self._driver.stdout.readline() if ready else ""
        if not line:
            raise BrowserError(f"{request}: no answer")
        answer = json.loads(line)
        if "error" in answer:
            raise BrowserError(f"{request}: {answer['error']}")
        return answer["value"]
