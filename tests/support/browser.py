"""A Chromium without a window, driven over pipes (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import time
from pathlib import Path
from typing import Any

from support.waiting import DEADLINE_S, wait_until

PROGRAM = "chromium"
# As root there is no sandbox; /dev/shm may be small in a container.
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
)
_END = b"\0"


class Browser:
    """One process with one page, which is opened again and again."""

    def __init__(self, folder: Path) -> None:
        """Start it, with its profile in `folder`."""
        commands_fd, self._commands_fd = os.pipe()
        self._events_fd, events_fd = os.pipe()
        program = shutil.which(PROGRAM)
        assert program
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
        self._pid = os.posix_spawn(
            program,
            [program, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            os.environ,
            # Where it reads commands, and where it writes.
            file_actions=[
                *null,
                (os.POSIX_SPAWN_DUP2, commands_fd, 3),
                (os.POSIX_SPAWN_DUP2, events_fd, 4),
            ],
        )
        os.close(commands_fd)
        os.close(events_fd)
        self._received = b""
        self._number = 0
        self._session = ""
        pages = self._ask("Target.getTargets")["targetInfos"]
        (page,) = [each["targetId"] for each in pages if each["type"] == "page"]
        self._session = self._ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self._ask("Page.enable")

    def open(self, url: str) -> str:
        """Open `url` as a person would who types it, and return the text that is shown."""
        navigated = self._ask("Page.navigate", url=url)
        assert "errorText" not in navigated, f"{url}: {navigated['errorText']}"
        while self._next().get("method") != "Page.loadEventFired":
            pass
        # A page that leads on at once has been loaded, and there may be nothing yet of the one after it.
        text: list[object] = []

        def is_shown() -> bool:
            text[:] = [self.evaluate("document.documentElement?.innerText")]
            return isinstance(text[0], str)

        wait_until(is_shown, what=f"{url} to be shown")
        return str(text[0])

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript on the page."""
        return self._ask("Runtime.evaluate", expression=expression)["result"].get("value")

    def look_like(self, *, width: int, scheme: str) -> None:
        """Be as wide as that, and prefer `light` or `dark` colours."""
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._ask("Emulation.setEmulatedMedia", features=[feature])

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go: its name (`Tab`), its code (9), and what it writes, if anything."""
        for kind in ("keyDown", "keyUp"):
            written = {"text": text} if text and kind == "keyDown" else {}
            self._ask(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **written
            )

    def picture(self, *, is_whole: bool = False) -> bytes:
        """The page as it is seen, or all of it, a PNG."""
        return base64.b64decode(self._ask("Page.captureScreenshot", captureBeyondViewport=is_whole)["data"])

    def close(self) -> None:
        """End it."""
        self._ask("Browser.close", is_for_page=False)
        wait_until(lambda: os.waitpid(self._pid, os.WNOHANG)[0], what=f"the end of {PROGRAM}")
        os.close(self._commands_fd)
        os.close(self._events_fd)

    def _ask(self, method: str, *, is_for_page: bool = True, **parameters: Any) -> dict[str, Any]:
        """Call `method` of the protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session and is_for_page:
            message["sessionId"] = self._session
        os.write(self._commands_fd, json.dumps(message).encode() + _END)
        while True:
            reply = self._next()
            if reply.get("id") == self._number:
                assert "result" in reply, f"{method}: {reply}"
                result = reply["result"]
                assert isinstance(result, dict)
                return result

    def _next(self) -> dict[str, Any]:
        """The next reply or event."""
        deadline_s = time.monotonic() + DEADLINE_S
        while _END not in self._received:
            readable, _, _ = select.select([self._events_fd], [], [], deadline_s - time.monotonic())
            data = os.read(self._events_fd, 1 << 20) if readable else b""
            assert data, f"{PROGRAM} has said nothing more"
            self._received += data
        one, _, self._received = self._received.partition(_END)
        message = json.loads(one)
        assert isinstance(message, dict)
        return message
