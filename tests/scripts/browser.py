"""A headless Chromium that shows pages and tells what they look like, over its debugging pipe."""

import base64
import json
import os
import shutil
import subprocess
import tempfile


def find():
    """The path of Chromium or Chrome; None: there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """One page at a time; `messages` are the warnings, errors and exceptions of all pages shown."""

    def __init__(self, program):
        self.messages, self._last, self._buffer = [], 0, b""
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def place_pipe():  # it reads from 3 and writes to 4
            os.dup2(to_browser, 13)
            os.dup2(from_browser, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)

        self._process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=place_pipe, close_fds=False)
        os.close(to_browser)
        os.close(from_browser)
        self._session = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")
        self._ask("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._out)
        self._process.terminate()
        self._process.wait()
        os.close(self._in)
        self._profile.cleanup()

    def show(self, path, width, height=900, dark=False):
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        scheme = "dark" if dark else "light"
        self._ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._ask("Page.navigate", url=f"file://{path}")
        self._receive(lambda event: event.get("method") == "Page.loadEventFired")

    def value(self, expression):
        """What a JavaScript expression gives on the page shown."""
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def picture(self, path):
        """The whole page as a PNG."""
        data = self._ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def _ask(self, method, **parameters):
        self._last += 1
        number = self._last
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._receive(lambda event: event.get("id") == number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _receive(self, wanted):
        while True:
            while b"\0" not in self._buffer:
                more = os.read(self._in, 1 << 20)
                if not more:
                    raise RuntimeError("the browser has ended")
                self._buffer += more
            line, self._buffer = self._buffer.split(b"\0", 1)
            event = json.loads(line)
            details = event.get("params", {})
            method = event.get("method")
            if method == "Runtime.exceptionThrown":
                self.messages.append(details["exceptionDetails"]["text"])
            elif method == "Log.entryAdded" and details["entry"]["level"] in ("warning", "error"):
                self.messages.append(details["entry"]["text"])
            elif method == "Runtime.consoleAPICalled" and details["type"] in ("warning", "error", "assert"):
                self.messages.append(json.dumps(details["args"]))
            if wanted(event):
                return event
