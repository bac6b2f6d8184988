"""`make screenshots`: draw the pictures of README and docs anew, of the drawn demonstration slide.

Starts `make run` on a folder and a port of its own, waits for the detection of the demonstration slide, gives three
verdicts as a reader would, screens three fields, and takes the screenshots with Chromium. Always the same slide; the
detections are those of the shipped weights.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from static.mitoscope import Mitoscope
from tests.browser import launched, sign_in

ROOT = Path(__file__).resolve().parent.parent
DOCS = Path(__file__).parent
SLIDE_PIXELS = 8000  # 2 mm at 0.25 um/px: the 2 mm² hotspot fits
VIEWPORT = {"width": 1280, "height": 800}
QUALITY = 80  # of the JPEG; keeps the file below 250 kB


@contextmanager
def served() -> Iterator[dict[str, str]]:
    """`make run` until the end of the block; yields what it prints: address, name, password, API token."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="mitoscope-screenshots-") as data:
        settings = {"DATA_DIR": data, "PORT": str(port), "DEMO_SLIDE_PIXELS": str(SLIDE_PIXELS)}
        process = subprocess.Popen(
            ["make", "run"],  # noqa: S607  as people call it
            cwd=ROOT,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            said = ""
            for line in process.stdout:
                said += line
                if "Ctrl-C stops everything" in line:
                    break
            else:
                raise SystemExit(f"`make run` ended early:\n{said}")
            found = re.findall(r"^  (name|password|API token) +(\S+)$", said, re.MULTILINE)
            yield {"address": f"http://127.0.0.1:{port}", **dict(found)}
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)  # Ctrl-C
            process.wait(timeout=120)


def main() -> None:
    """Write the pictures and print their sizes."""
    with served() as found, launched() as chromium:
        [slide] = Mitoscope(found["address"], found["API token"]).slides()
        slide.wait(timeout=600)
        page = chromium.new_page(viewport=VIEWPORT)
        sign_in(page, found["address"], found["name"], found["password"])
        page.goto(f"{found['address']}/slides/{slide.id}/")
        page.wait_for_selector("body[data-candidates]")
        page.wait_for_selector("[data-number=ai-hotspot]:text-matches('[0-9]')")
        for key in ["j", "m", "m", "n", "-", "-", "-"]:  # a verdict goes on to the next candidate
            page.keyboard.press(key)
        page.wait_for_selector("#saved[data-state=saved]")
        take(page, "slide-page")
        screen(page)
        take(page, "screening")


def screen(page: Any) -> None:
    """Three fields in the midst of the tissue, long enough to be seen."""
    page.click("#tab-screening")
    page.keyboard.press("e")
    for number in range(1, 26):
        page.wait_for_selector(f"#screening-say:has-text('Field {number} of')")
        page.wait_for_timeout(4000 if number > 22 else 100)
        if number < 25:
            page.keyboard.press("Space")


def take(page: Any, name: str) -> None:
    """One picture, once all is there."""
    page.wait_for_selector("#toast", state="hidden")
    page.wait_for_load_state("networkidle")
    picture = DOCS / f"{name}.jpg"
    page.screenshot(path=picture, type="jpeg", quality=QUALITY)
    sys.stdout.write(f"docs/{picture.name}: {picture.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
