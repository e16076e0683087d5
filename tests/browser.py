"""A page in headless Chromium, driven over the DevTools protocol through a pipe."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # which root must not have
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
)
_PATIENCE = 90.0  # seconds, for a busy machine


class Page:
    """One tab. Events that came so far are kept in `events`."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write, self._rest = read, write, b""
        self._last, self._session = 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its result."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, (method, answer)
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, address: str) -> None:
        """Go to an address and wait until it has loaded."""
        first = len(self.events)
        failed = self.send("Page.navigate", url=address).get("errorText")
        assert failed is None, failed
        while not any(e["method"] == "Page.loadEventFired" for e in self.events[first:]):
            self._next()

    def run(self, script: str) -> Any:
        """The value of an expression in the page, as JSON gives it; promises are awaited."""
        done = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def resize(self, width: int, height: int = 900) -> None:
        """Take this many CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """Prefer "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, exceptions and failed loads so far."""
        found = []
        for event in self.events:
            said = event["params"]
            if event["method"] == "Runtime.consoleAPICalled" and said["type"] in (
                "error",
                "warning",
                "assert",
            ):
                found.append(str(said["args"]))
            elif event["method"] == "Runtime.exceptionThrown":
                found.append(str(said["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and said["entry"]["level"] in (
                "error",
                "warning",
            ):
                found.append(said["entry"]["text"])
            elif event["method"] == "Network.loadingFailed":
                found.append(said["errorText"])
        return found

    def requests(self) -> list[str]:
        """Addresses that were asked for so far."""
        asked = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [entry["request"]["url"] for entry in asked]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            left = end - time.monotonic()
            assert left > 0, f"Chromium said nothing for {_PATIENCE:.0f} seconds"
            if select.select([self._read], [], [], left)[0]:
                chunk = os.read(self._read, 1 << 20)
                assert chunk, "Chromium has ended"
                self._rest += chunk
        text, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """Chromium with an empty profile; skips the test where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None or shutil.which("bash") is None:
        pytest.skip("no chromium on the PATH; on Debian: apt-get install chromium")
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    # It reads from descriptor 3 and writes to 4.
    start = f'exec "$@" 3<&{in_read} 4>&{out_write}'
    command = ["bash", "-c", start, "bash", program, *_FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        command,
        pass_fds=(in_read, out_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(in_read)
    os.close(out_write)
    try:
        yield Page(out_read, in_write)
    finally:
        os.close(in_write)  # upon which it ends
        os.close(out_read)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
