"""Runs a page in headless Chromium: probes its content and takes screenshots."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

CHROMIUM = shutil.which("chromium")
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--enable-logging=stderr", "--v=0",
)  # fmt: skip
# Runs in a copy of the page without its policy, and leaves the result as text.
_PROBE = """
<script>
window.addEventListener("load", () => {
  const result = (() => { %s })();
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify(result);
  document.body.append(out);
});
</script>
</body>
"""


def run_chromium(
    page: Path, folder: Path, *options: str, size: str = "1100,900", fragment: str = ""
) -> str:
    """Chromium's output for a page, its log included.

    Args:
        folder: an empty one for its profile.
    """
    assert CHROMIUM is not None
    command = [
        CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}", "--virtual-time-budget=4000",
        f"--window-size={size}", *options, page.as_uri() + fragment,
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=folder,
        env=os.environ | {"HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + "\n" + done.stderr


def probe(
    page: Path, folder: Path, script: str, size: str = "1100,900", fragment: str = ""
) -> tuple[dict, str]:
    """The result of a script that runs in the page, and the browser's log.

    Args:
        fragment: what the page's address ends with, such as ``#tests``.
        script: the body of a function that returns an object.
        folder: an empty one; the copy with the script goes there.
    """
    text = page.read_text(encoding="utf-8")
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert bare != text
    copy = folder / "probed.html"
    copy.write_text(bare.replace("</body>", _PROBE % script), encoding="utf-8")
    printed = run_chromium(copy, folder, "--dump-dom", size=size, fragment=fragment)
    match = re.search(r'<pre id="probe">(.*?)</pre>', printed, re.DOTALL)
    assert match, printed[-3000:]
    return json.loads(unescape(match[1])), printed


def screenshot(page: Path, folder: Path, image: Path, *options: str, size: str) -> None:
    """Saves a screenshot of the page."""
    run_chromium(page, folder, f"--screenshot={image}", *options, size=size)
