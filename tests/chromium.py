"""A headless Chromium, driven through its debugging pipe. It needs no package but the browser."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-pipe",
    "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--hide-scrollbars", "--mute-audio",
)  # fmt: skip
#: Longest waiting for an answer or a condition, in seconds.
LIMIT = 60.0
#: Collects violations of the content security policy before any script of the page runs.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));
"""


def find():
    """Return the path of a Chromium, or None."""
    chosen = os.environ.get("LATENTLY_CHROMIUM")
    return chosen or next(filter(None, map(shutil.which, NAMES)), None)


def need():
    """Skip a test without Chromium, or fail if ``LATENTLY_NEEDS_BROWSER`` is set, as in CI."""
    if find() is None:
        if os.environ.get("LATENTLY_NEEDS_BROWSER"):
            pytest.fail("Chromium is not installed.")
        pytest.skip("needs Chromium (apt-get install chromium)")


class Chromium:
    """A browser with one page. Input is that of a user, so that events are trusted."""

    def __init__(self, profile, width=1280, height=900):
        to_browser, from_browser = os.pipe(), os.pipe()
        keep = (to_browser[0], from_browser[1])

        def as_3_and_4():
            reading, writing = os.dup(keep[0]), os.dup(keep[1])
            os.dup2(reading, 3)
            os.dup2(writing, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        self.process = subprocess.Popen(
            [find(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=as_3_and_4, close_fds=False, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        for end in keep:
            os.close(end)
        self.writing, self.reading = to_browser[1], from_browser[0]
        self.pending, self.number, self.session = b"", 0, None
        self.errors, self.requests = [], []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        self.resize(width, height)

    # ------------------------------------------------------------ protocol
    def call(self, method, **parameters):
        """Send a command and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _next(self):
        until = time.monotonic() + LIMIT
        while b"\0" not in self.pending:
            if not select.select([self.reading], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer.")
            read = os.read(self.reading, 1 << 20)
            if not read:
                raise RuntimeError("Chromium ended.")
            self.pending += read
        line, self.pending = self.pending.split(b"\0", 1)
        return json.loads(line)

    def _note(self, event):
        method, values = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(values["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
            self.errors.append(json.dumps(values["args"])[:500])
        elif method == "Log.entryAdded" and values["entry"]["level"] == "error":
            self.errors.append(values["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])

    # ------------------------------------------------------------ page
    def visit(self, page):
        """Open a file or an address, and wait until it is loaded."""
        self.call("Page.navigate", url="about:blank")
        self.errors.clear()
        self.requests.clear()
        url = page.resolve().as_uri() if isinstance(page, Path) else page
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def open(self, page):
        """Open an explorer, and wait until it is ready."""
        self.visit(page)
        self.wait("document.getElementById('app')?.dataset.ready === 'yes'")
        self.settle()

    def run(self, expression):
        """Return the value of an expression, which may be a promise."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:800])
        return found["result"].get("value")

    def wait(self, condition):
        """Wait until a condition holds."""
        until = time.monotonic() + LIMIT
        while not self.run(condition):
            if time.monotonic() > until:
                raise TimeoutError(condition)
            time.sleep(0.02)

    def settle(self):
        """Wait until two frames are drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def resize(self, width, height, *, phone=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip

    def prefer(self, scheme):
        """Choose "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self):
        """Return a picture of the page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    # ------------------------------------------------------------ input
    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", **more)

    def click(self, x, y):
        self.mouse("mousePressed", x, y, clickCount=1)
        self.mouse("mouseReleased", x, y, clickCount=1)
        self.settle()

    def hover(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.settle()

    def drag(self, places):
        """Press at the first place, and move to all others."""
        self.mouse("mousePressed", *places[0], clickCount=1)
        for place in places[1:]:
            self.mouse("mouseMoved", *place, buttons=1)
        self.mouse("mouseReleased", *places[-1], clickCount=1)
        self.settle()

    def press(self, selector):
        """Click the middle of an element."""
        x, y = self.middle(selector)
        self.click(x, y)

    def middle(self, selector):
        return self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )

    def key(self, key, text=None):
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", key=key, **({"text": text} if text else {})
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def type(self, text):
        self.call("Input.insertText", text=text)
        self.settle()

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except (OSError, RuntimeError, TimeoutError):
            self.process.kill()
        finally:
            self.process.wait(LIMIT)
            os.close(self.writing)
            os.close(self.reading)
