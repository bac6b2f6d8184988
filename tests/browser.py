"""What browser tests share: Chromium, a person signed in, screenshots that stay, the rules of axe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "var" / "screenshots"
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
_FLAGS += ["--disable-sync"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium; tests that need it are skipped, saying so, without it."""
    if _CHROMIUM is None:
        if os.environ.get("MITOSCOPE_NEEDS_BROWSER"):
            pytest.fail("Chromium is not installed, and MITOSCOPE_NEEDS_BROWSER says that it must be")
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    with launched() as chromium:
        yield chromium


@contextmanager
def launched() -> Iterator[Any]:
    """Chromium, until the end of the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        yield chromium
        chromium.close()


def sign_in(page: Any, address: str, name: str, password: str) -> None:
    """Through the page, as a person does."""
    page.goto(address)
    page.fill("[name=username]", name)
    page.fill("[name=password]", password)
    page.click("button.primary")
    page.wait_for_selector("h1:has-text('Worklist')")
    page.wait_for_load_state()  # a file that is chosen before the page's modules listen is not seen


def too_wide(page: Any) -> list[str]:
    """What makes the page wider than windows of 768 and 640 px; 640 x 512 is 1280 x 1024 at 200 %."""
    before, wide = page.viewport_size, []
    for width, height in ((768, 1024), (640, 512)):
        page.set_viewport_size({"width": width, "height": height})
        wide += page.evaluate(
            """() => document.documentElement.scrollWidth <= innerWidth ? [] :
            [...document.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > innerWidth)
            .map((one) => `${innerWidth} px: ${one.outerHTML.slice(0, 120)}`).slice(0, 4)"""
        )
    page.set_viewport_size(before)
    return wide


def at_rest(page: Any) -> None:
    """Wait until the slide has glided to its place, in three frames on end, and has its tiles there."""
    page.evaluate(
        """async (seconds) => {
        const viewer = OpenSeadragon.getViewer("viewer"), { viewport, world } = viewer;
        const there = () => !viewer.isAnimating() && viewport.getBounds(true).equals(viewport.getBounds(false))
          && viewport.getRotation(true) === viewport.getRotation(false) && world.getItemAt(0).getFullyLoaded();
        const end = performance.now() + 1000 * seconds;
        for (let still = 0; still < 3; still = there() ? still + 1 : 0) {
          if (performance.now() > end) throw new Error(`waited ${seconds} s in vain for the slide to come to rest`);
          await new Promise(requestAnimationFrame);
        }
        }""",
        15,
    )


def saved(page: Any) -> None:
    """Wait until every verdict of a slide page is on the server."""
    page.wait_for_selector("#saved[data-state='saved']", timeout=20_000)


def shoot(page: Any, name: str) -> None:
    """A picture of the page, kept in var/screenshots."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def offences(page: Any, *, contrast_alone: bool = False) -> list[str]:
    """What axe finds against WCAG 2.2 A and AA on the page as it is; contrast is all that another light can change."""
    if page.evaluate("() => typeof axe === 'undefined'"):
        # Not by a script element: the page's policy would have to be weakened for it.
        page.evaluate((ROOT / "node_modules/axe-core/axe.min.js").read_text("utf-8") + ";0")
    every = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    only = {"type": "rule", "values": ["color-contrast"]} if contrast_alone else {"type": "tag", "values": every}
    found = page.evaluate(
        """async (runOnly) => (await axe.run(document, {runOnly}))
        .violations.map(({id, nodes}) => id + ": " + nodes.slice(0, 4).map(({target, any}) =>
          target.join(" ") + " " + (any[0]?.message ?? "")).join("; "))""",
        only,
    )
    return list(found)
